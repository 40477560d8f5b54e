// Layer by layer: a stream of hidden states is what the whole network computes, a layer alone has the whole
// network's gradients, and a quantized model comes nearer to its original.
#include "train/tune_layers.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <map>

#include "gguf/writer.h"
#include "model/vocabulary.h"
#include "quant/quantize.h"
#include "train/blas.h"
#include "train/model_file.h"
#include "train/token_stream.h"
#include "train/toy.h"
#include "train/tune.h"
#include "train/vector_loops.h"

namespace carat::train {
namespace {

std::string path_of(std::string_view name) {
  return fmt::format("{}/carat_tune_layers_{}_{}.gguf", testing::TempDir(), name, ::getpid());
}

std::shared_ptr<const Model> open(const std::string& path) {
  auto model = open_model(path);
  EXPECT_TRUE(model.has_value()) << (model.has_value() ? "" : model.error().message);
  return model.has_value() ? model.take() : nullptr;
}

std::shared_ptr<const Model> made(Config config, const std::string& path, TensorType type) {
  config.n_vocab = kMinSampleTokens;
  Parameters parameters = make_parameters(config);
  initialize(parameters, 3);
  Random random(4);
  for (const Parameter& p : parameters.list)
    if (p.trainable && !p.is_matrix())
      for (float& value : parameters.of(p)) value *= static_cast<float>(1 + 0.2 * random.normal());
  gguf::Metadata tokenizer;
  describe(sample_vocabulary(config.n_vocab), tokenizer);
  SaveOptions save;
  save.type = type;
  save.tokenizer = &tokenizer;
  EXPECT_TRUE(save_parameters(parameters, path, save).has_value());
  return open(path);
}

void expect_near(std::span<const float> a, std::span<const float> b, double tolerance) {
  double error = 0, size = 0;
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i)
    error += std::pow(static_cast<double>(a[i]) - b[i], 2), size += std::pow(static_cast<double>(b[i]), 2);
  EXPECT_LE(std::sqrt(error), tolerance * std::sqrt(size));
}

class LayerOf : public testing::TestWithParam<toy::Variant> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(load_blas().has_value());
    model_ = made(GetParam().config, path_of("whole"), TensorType::F32);
    ASSERT_NE(model_, nullptr);
  }
  void TearDown() override { std::filesystem::remove(path_of("whole")); }

  std::vector<Token> draw_tokens(int64_t n) {
    std::vector<Token> tokens(static_cast<size_t>(n));
    for (Token& token : tokens) token = static_cast<Token>(random_.below(50));
    return tokens;
  }

  Random random_{7};
  std::shared_ptr<const Model> model_;
};

TEST_P(LayerOf, AloneIsWhatItIsInTheNetwork) {
  constexpr int64_t kRows = 3, kLength = 12;
  ThreadPool pool(2);
  const std::vector<Token> tokens = draw_tokens(kRows * kLength);

  const Parameters whole = load_parameters(*model_, pool).take();
  const Config& config = whole.config;
  const Network network(whole, kLength);
  Activations all(config, kRows, kLength, true);
  const TokenRows all_rows{kRows, kLength, tokens};
  network.forward(whole.values.data(), all_rows, all);

  const StreamRows rows = make_stream_rows(tokens, kLength);
  TokenStream stream = TokenStream::create(*model_, rows, pool).take();
  for (int i = 0; i < config.n_layers(); ++i) {
    SCOPED_TRACE(i);
    ASSERT_TRUE(stream.enter(i, pool).has_value());
    const Parameters one = load_layer(*model_, i, pool).take();
    const Network layer(one, kLength);
    // Two rows, and one.
    for (const auto& [first, n] : {std::pair<int64_t, int64_t>{0, 2}, {2, 1}}) {
      Activations alone(one.config, 2, kLength, true);
      const TokenRows some{n, kLength, std::span(tokens).first(static_cast<size_t>(n * kLength))};
      stream.fill(first, n, alone);
      layer.forward_layer(one.values.data(), some, 0, alone);
      const auto size = static_cast<size_t>(n * kLength * config.dim);
      const float* wanted = i + 1 < config.n_layers() ? all.layers[static_cast<size_t>(i + 1)].h : all.h_out;
      expect_near({alone.h_out, size}, {wanted + first * kLength * config.dim, size}, 1e-5);
      stream.take(first, n, alone);
    }
  }
}

// The last layer's gradients in the whole network, from the gradient behind it.
TEST_P(LayerOf, AloneHasTheNetworksGradients) {
  constexpr int64_t kRows = 2, kLength = 12;
  ThreadPool pool(1);
  const std::vector<Token> tokens = draw_tokens(kRows * kLength);
  const TokenRows token_rows{kRows, kLength, tokens};

  const Parameters whole = load_parameters(*model_, pool).take();
  const Config& config = whole.config;
  const int last = config.n_layers() - 1;
  const int64_t n = kRows * kLength;
  const Network network(whole, kLength);
  Activations all(config, kRows, kLength, true);
  network.forward(whole.values.data(), token_rows, all);
  std::vector<float> behind_norm(static_cast<size_t>(n * config.dim)), behind_layer(behind_norm.size());
  for (float& v : behind_norm) v = static_cast<float>(random_.normal());
  const Parameter& norm = *whole.find("output_norm.weight");
  vector_loops().rms_norm_backward(all.h_out, whole.of(norm).data(), all.inverse_out, behind_norm.data(), n,
                                   config.dim, false, behind_layer.data(), nullptr);
  AlignedArray<float> gradients(whole.values.size());
  std::ranges::copy(behind_norm, all.dh);
  network.backward(whole.values.data(), token_rows, all, gradients.data());

  const StreamRows rows = make_stream_rows(tokens, kLength);
  TokenStream stream = TokenStream::create(*model_, rows, pool).take();
  for (int i = 0; i <= last; ++i) {
    ASSERT_TRUE(stream.enter(i, pool).has_value());
    const Parameters one = load_layer(*model_, i, pool).take();
    const Network layer(one, kLength);
    Activations alone(one.config, kRows, kLength, true);
    stream.fill(0, kRows, alone);
    layer.forward_layer(one.values.data(), token_rows, 0, alone);
    stream.take(0, kRows, alone);
    if (i < last) continue;
    AlignedArray<float> own(one.values.size());
    std::ranges::copy(behind_layer, alone.dh);
    layer.backward_layer(one.values.data(), token_rows, 0, alone, own.data());
    int n_compared = 0;
    for (const Parameter& p : one.list) {
      // A norm follows the last layer: its scale changes nothing.
      if (!p.trainable || p.name.ends_with("layer_output_scale.weight")) continue;
      SCOPED_TRACE(p.name);
      const auto size = static_cast<size_t>(p.size);
      expect_near({own.data() + p.offset, size}, {gradients.data() + whole.find(p.name)->offset, size}, 1e-4);
      ++n_compared;
    }
    EXPECT_GT(n_compared, 10);
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, LayerOf, testing::ValuesIn(toy::variants()),
                         [](const auto& variant) { return std::string(variant.param.name); });

class TuneLayers : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(load_blas().has_value());
    original_ = made(toy::variants()[0].config, path_of("original"), TensorType::BF16);
    QuantizeOptions options;
    options.type = TensorType::Q4_0;
    ASSERT_TRUE(quantize(original_->file, path_of("quantized"), options).has_value());
    quantized_ = open(path_of("quantized"));
    Random random(5);
    std::vector<Token> text{original_->tokenizer.bos()};
    while (text.size() < 4000) text.push_back(static_cast<Token>(random.below(40)));
    texts_.push_back(text);
  }
  void TearDown() override {
    for (const char* name : {"original", "quantized", "tuned"}) std::filesystem::remove(path_of(name));
  }

  static LayerTuneOptions options() {
    LayerTuneOptions o;
    o.n_tokens = 2048, o.n_passes = 12, o.batch_tokens = 128, o.row_length = 32;
    o.rates = {0.02, 1e-3};
    return o;
  }

  std::shared_ptr<const Model> original_, quantized_;
  std::vector<std::vector<Token>> texts_;
};

TEST_F(TuneLayers, ComesNearerToTheOriginal) {
  const auto result = tune_layers(*original_, *quantized_, texts_, options());
  ASSERT_TRUE(result.has_value()) << result.error().message;
  ASSERT_EQ(static_cast<int>(result->layers.size()), original_->config.n_layers());
  for (const LayerError& error : result->layers) {
    EXPECT_GT(error.before, 0);
    EXPECT_LE(error.after, error.before);
  }
  EXPECT_LT(result->layers[0].after,
            0.9 * result->layers[0].before);  // later ones have inherited most of theirs
  // What was tuned fits the file, and the whole model's divergence is smaller.
  QuantizeOptions options;
  options.type = TensorType::Q4_0;
  for (const TunedTensor& tensor : result->tensors) {
    ASSERT_EQ(tensor.bytes.size(), quantized_->file.find(tensor.name)->n_bytes()) << tensor.name;
    options.encoded.emplace(tensor.name, tensor.bytes);
  }
  ASSERT_TRUE(quantize(original_->file, path_of("tuned"), options).has_value());
  const auto tuned = open(path_of("tuned"));
  TuneOptions one_step;
  one_step.n_tokens = 1, one_step.batch_tokens = 32, one_step.row_length = 32;
  EXPECT_LT(tune(*original_, *tuned, texts_, one_step)->before,
            0.9 * tune(*original_, *quantized_, texts_, one_step)->before);
}

TEST_F(TuneLayers, ThreadsChangeNoBit) {
  LayerTuneOptions one = options(), three = options();
  one.n_passes = three.n_passes = 3;
  three.n_threads = 3;
  const auto a = tune_layers(*original_, *quantized_, texts_, one),
             b = tune_layers(*original_, *quantized_, texts_, three);
  ASSERT_TRUE(a.has_value() && b.has_value());
  ASSERT_FALSE(a->tensors.empty());
  ASSERT_EQ(a->tensors.size(), b->tensors.size());
  for (size_t i = 0; i < a->tensors.size(); ++i) EXPECT_EQ(a->tensors[i].bytes, b->tensors[i].bytes);
  for (size_t i = 0; i < a->layers.size(); ++i) EXPECT_EQ(a->layers[i].after, b->layers[i].after);
}

TEST_F(TuneLayers, ChangesNoLayerThatItDoesNotHelp) {
  LayerTuneOptions wild = options();
  wild.rates = {5, 0.5}, wild.n_passes = 1;
  const auto result = tune_layers(*original_, *quantized_, texts_, wild);
  ASSERT_TRUE(result.has_value()) << result.error().message;
  for (const LayerError& error : result->layers) EXPECT_EQ(error.after, error.before);
  EXPECT_TRUE(result->tensors.empty());
}

TEST_F(TuneLayers, RefusesTextsThatAreTooShort) {
  const std::vector<std::vector<Token>> texts = {{original_->tokenizer.bos(), 1, 2, 3}};
  const auto result = tune_layers(*original_, *quantized_, texts, options());
  ASSERT_FALSE(result.has_value());
  EXPECT_NE(result.error().message.find("no text has"), std::string::npos) << result.error().message;
}

TEST_F(TuneLayers, StopsWhenAsked) {
  interrupt_requested = true;
  const auto result = tune_layers(*original_, *quantized_, texts_, options());
  interrupt_requested = false;
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().message, "interrupted");
}

}  // namespace
}  // namespace carat::train
