// Tuning: codes and scales that follow a gradient stay what the format can store, and a quantized model comes
// nearer to its parent.
#include "train/tune.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>

#include "gguf/writer.h"
#include "model/vocabulary.h"
#include "quant/codec.h"
#include "quant/quantize.h"
#include "train/blas.h"
#include "train/model_file.h"
#include "train/toy.h"
#include "train/tuned_codes.h"

namespace carat::train {
namespace {

std::vector<TensorType> grid_types() {
  std::vector<TensorType> types;
  for (const Codec& codec : codecs())
    if (find_grid(codec.type) != nullptr) types.push_back(codec.type);
  return types;
}

AdamStep rate(float learning_rate, int t) {
  AdamStep step{};
  step.beta1 = 0.9f, step.beta2 = 0.99f, step.epsilon = 1e-12f;
  step.learning_rate = learning_rate / (1 - std::pow(0.9f, static_cast<float>(t)));
  step.second_correction = 1 / (1 - std::pow(0.99f, static_cast<float>(t)));
  return step;
}

// Two matrices of three rows of two blocks, encoded, with a factor each.
struct Encoded {
  explicit Encoded(TensorType type, uint64_t seed = 1) {
    const auto n = 2 * static_cast<int64_t>(type_info(type).block_length);
    Random random(seed);
    original.resize(static_cast<size_t>(6 * n));
    for (float& v : original) v = static_cast<float>(0.1 * random.normal());
    bytes.resize(6 * row_bytes(type, n));
    for (size_t row = 0; row < 6; ++row)
      codec_of(type).encode(original.data() + row * static_cast<size_t>(n), n, nullptr,
                            bytes.data() + row * row_bytes(type, n));
    for (size_t i = 0; i < original.size(); ++i) original[i] *= factors[i < original.size() / 2 ? 0 : 1];
    tensor = {"t", type, {n, 3, 2, 1}, bytes.data(), factors};
  }

  std::vector<float> decoded(std::span<const std::byte> blocks, ThreadPool& pool) const {
    Tensor now = tensor;
    now.data = blocks.data();
    std::vector<float> values(original.size());
    decode_tensor(now, values.data(), pool);
    return values;
  }

  float factors[2] = {1.0f, 0.25f};
  std::vector<float> original;
  std::vector<std::byte> bytes;
  Tensor tensor;
};

double squares(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

// A step of size 0 changes no value, whichever side of its code a number starts on.
TEST(TunedCodes, StandStillWithoutARate) {
  ThreadPool pool(2);
  for (const TensorType type : grid_types()) {
    SCOPED_TRACE(type_name(type));
    const Encoded encoded(type);
    TunedCodes codes(encoded.tensor, encoded.original.data(), 0.4f, pool);
    const std::vector<float> gradient(encoded.original.size(), 1.0f);
    codes.step(rate(0, 1), rate(0, 1), gradient.data(), pool);
    EXPECT_EQ(encoded.decoded(codes.blocks(), pool), encoded.decoded(encoded.bytes, pool));
  }
}

// The gradient of a squared distance leads from what was encoded to other values that the format can hold.
TEST(TunedCodes, FollowAGradientWithinTheFormat) {
  ThreadPool pool(1);
  for (const TensorType type : grid_types()) {
    SCOPED_TRACE(type_name(type));
    const Encoded encoded(type), wanted(type, 2);
    const std::vector<float> target = encoded.decoded(wanted.bytes, pool);
    TunedCodes codes(encoded.tensor, encoded.original.data(), 0.0f, pool);
    std::vector<float> values = encoded.decoded(codes.blocks(), pool);
    const double before = squares(values, target);
    for (int t = 1; t <= 400; ++t) {
      std::vector<float> gradient(values.size());
      for (size_t i = 0; i < values.size(); ++i) gradient[i] = values[i] - target[i];
      const float small = 1 - static_cast<float>(t) / 401;
      const float range = static_cast<float>(find_grid(type)->n_codes) / 16;
      codes.step(rate(0.1f * range * small, t), rate(0.01f * small, t), gradient.data(), pool);
      codes.decode(values.data(), pool);
      ASSERT_EQ(values, encoded.decoded(codes.blocks(), pool));
    }
    EXPECT_LT(squares(values, target), 0.1 * before);
  }
}

// Only the scale moves: its derivative against a difference of losses.
TEST(TunedCodes, ScalesGoDownhill) {
  ThreadPool pool(1);
  for (const TensorType type : grid_types()) {
    SCOPED_TRACE(type_name(type));
    const GridFormat& format = *find_grid(type);
    const Encoded encoded(type);
    TunedCodes codes(encoded.tensor, encoded.original.data(), 0.0f, pool);
    std::vector<float> values = encoded.decoded(codes.blocks(), pool), target = values;
    for (float& v : target) v *= 1.05f;  // what scale (and minimum) grown by a twentieth would give
    const double before = squares(values, target);
    for (int t = 1; t <= 100; ++t) {
      std::vector<float> gradient(values.size());
      for (size_t i = 0; i < values.size(); ++i) gradient[i] = values[i] - target[i];
      codes.step(rate(0, t), rate(0.002f * (1 - static_cast<float>(t) / 101), t), gradient.data(), pool);
      codes.decode(values.data(), pool);
    }
    if (format.scale_at >= 0)
      EXPECT_LT(squares(values, target), 0.001 * before);
    else
      EXPECT_EQ(squares(values, target), before);
  }
}

class Tune : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(load_blas().has_value());
    config_.n_vocab = kMinSampleTokens;
    Parameters parameters = make_parameters(config_);
    initialize(parameters, 3);
    gguf::Metadata tokenizer;
    describe(sample_vocabulary(config_.n_vocab), tokenizer);
    SaveOptions save;
    save.tokenizer = &tokenizer;
    ASSERT_TRUE(save_parameters(parameters, path("parent"), save).has_value());
    parent_ = open(path("parent"));
    QuantizeOptions options;
    options.type = TensorType::Q4_0;
    ASSERT_TRUE(quantize(parent_->file, path("quantized"), options).has_value());
    quantized_ = open(path("quantized"));
    Random random(5);
    std::vector<Token> text{parent_->tokenizer.bos()};
    while (text.size() < 4000) text.push_back(static_cast<Token>(random.below(40)));
    texts_.push_back(text);
  }
  void TearDown() override {
    for (const char* name : {"parent", "quantized"}) std::filesystem::remove(path(name));
  }

  static std::string path(std::string_view name) {
    return fmt::format("{}/carat_tune_{}_{}.gguf", testing::TempDir(), name, ::getpid());
  }
  static std::shared_ptr<const Model> open(const std::string& path) {
    auto model = open_model(path);
    EXPECT_TRUE(model.has_value()) << (model.has_value() ? "" : model.error().message);
    return model.has_value() ? model.take() : nullptr;
  }
  static TuneOptions options() {
    TuneOptions o;
    o.n_tokens = 60 * 128, o.batch_tokens = 128, o.row_length = 32;
    o.rates = {0.02, 1e-3};
    return o;
  }

  Config config_ = toy::tiny();
  std::shared_ptr<const Model> parent_, quantized_;
  std::vector<std::vector<Token>> texts_;
};

TEST_F(Tune, ComesNearerToTheParent) {
  const auto result = tune(*parent_, *quantized_, texts_, options());
  ASSERT_TRUE(result.has_value()) << result.error().message;
  EXPECT_GT(result->before, 0);
  EXPECT_LT(result->after, 0.7 * result->before);
  std::map<std::string, size_t> sizes;
  for (const TunedTensor& tensor : result->tensors) sizes[tensor.name] = tensor.bytes.size();
  for (const Tensor& tensor : quantized_->file.tensors) {
    if (tensor.type != TensorType::Q4_0 && !tensor.name.ends_with("norm.weight")) continue;
    EXPECT_EQ(sizes[std::string(tensor.name)], tensor.n_bytes()) << tensor.name;
  }
}

TEST_F(Tune, ThreadsChangeNoBit) {
  TuneOptions two = options(), one = options();
  two.n_threads = 2;
  two.n_tokens = one.n_tokens = 10 * 128;
  const auto a = tune(*parent_, *quantized_, texts_, one), b = tune(*parent_, *quantized_, texts_, two);
  ASSERT_TRUE(a.has_value() && b.has_value());
  EXPECT_EQ(a->after, b->after);
  ASSERT_EQ(a->tensors.size(), b->tensors.size());
  for (size_t i = 0; i < a->tensors.size(); ++i) EXPECT_EQ(a->tensors[i].bytes, b->tensors[i].bytes);
}

// Whatever does not help is not kept: here steps that are far too large.
TEST_F(Tune, ChangesNothingThatDoesNotHelp) {
  TuneOptions wild = options();
  wild.rates = {5, 0.5}, wild.n_tokens = 4 * 128;
  const auto result = tune(*parent_, *quantized_, texts_, wild);
  ASSERT_TRUE(result.has_value()) << result.error().message;
  EXPECT_GE(result->after, result->before);
  EXPECT_TRUE(result->tensors.empty());
}

TEST_F(Tune, RefusesTextsThatAreTooShort) {
  const std::vector<std::vector<Token>> texts = {{parent_->tokenizer.bos(), 1, 2, 3}};
  const auto result = tune(*parent_, *quantized_, texts, options());
  ASSERT_FALSE(result.has_value());
  EXPECT_NE(result.error().message.find("no text has"), std::string::npos) << result.error().message;
}

TEST_F(Tune, StopsWhenAsked) {
  interrupt_requested = true;
  const auto result = tune(*parent_, *quantized_, texts_, options());
  interrupt_requested = false;
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().message, "interrupted");
}

}  // namespace
}  // namespace carat::train
