// Scales of whole matrices: a file whose matrices have them beside their blocks is the same network as one
// with the scales multiplied into the weights.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "base/random.h"
#include "fake_file.h"
#include "gguf/writer.h"
#include "model/forward.h"
#include "model/synth.h"
#include "quant/codec.h"
#include "reference_network.h"

namespace carat {
namespace {

using Row = std::vector<float>;

struct Scales : testing::Test {
  std::filesystem::path folder =
      std::filesystem::temp_directory_path() / fmt::format("carat-scales-{}", ::getpid());
  void SetUp() override { std::filesystem::create_directories(folder); }
  void TearDown() override { std::filesystem::remove_all(folder); }
  std::string path(std::string_view name) const { return (folder / name).string(); }
};

bool has_scale(std::string_view name) {
  return name.ends_with(".weight") && name.find("norm") == std::string_view::npos &&
         name != "rope_freqs.weight" && name.find("scale") == std::string_view::npos &&
         name.find("ffn_down_exps") == std::string_view::npos &&
         name.find("ffn_gate_inp") == std::string_view::npos;
}

// Scales for the matrices of a tensor: powers of two, or any numbers around 1.
std::vector<float> scales_of(const Tensor& tensor, bool powers) {
  Random random(std::hash<std::string_view>{}(tensor.name));
  std::vector<float> scales(static_cast<size_t>(tensor.shape[2]));
  for (float& scale : scales)
    scale = powers ? std::ldexp(1.0f, static_cast<int>(random.below(5)) - 2)
                   : static_cast<float>(std::exp(0.3 * random.normal()));
  return scales;
}

// The file with a ".scale" beside every matrix that may have one.
void write_scaled(const gguf::File& file, bool powers, const std::string& path) {
  std::vector<gguf::TensorToWrite> tensors;
  for (const Tensor& tensor : file.tensors) {
    tensors.push_back(gguf::existing(tensor));
    if (!has_scale(tensor.name)) continue;
    const std::string stem(tensor.name.substr(0, tensor.name.size() - 7));
    const std::vector<float> scales = scales_of(tensor, powers);
    tensors.push_back(gguf::owned_f32(stem + ".scale", {tensor.shape[2], 1, 1, 1}, scales));
    tensors.push_back(gguf::owned_f32(stem + ".input_scale", {1, 1, 1, 1}, std::vector<float>{3}));
  }
  gguf::write(path, file.metadata, tensors).take();
}

// The file in F32, with the same scales multiplied in.
void write_folded(const gguf::File& file, bool powers, const std::string& path) {
  std::vector<gguf::TensorToWrite> tensors;
  ThreadPool pool(1);
  for (Tensor tensor : file.tensors) {
    const std::vector<float> scales = scales_of(tensor, powers);
    if (has_scale(tensor.name)) tensor.scale = scales.data();
    std::vector<float> values(static_cast<size_t>(tensor.n_elements()));
    decode_tensor(tensor, values.data(), pool);
    tensors.push_back(gguf::owned_f32(std::string(tensor.name), tensor.shape, values));
  }
  gguf::write(path, file.metadata, tensors).take();
}

std::vector<Token> prompt(const Config& config) {
  Random random(5);
  std::vector<Token> tokens(20);
  for (Token& token : tokens) token = static_cast<Token>(random.below(config.n_vocab));
  return tokens;
}

std::vector<float> logits(const std::string& path, Precision precision) {
  const auto model = open_model(path).take();
  const auto backend = make_cpu_backend({.precision = precision}).take();
  Forward forward = Forward::create(model, *backend, {.max_rows = 32}).take();
  KvCache cache = KvCache::create(model->config, {.n_positions = 32, .max_batch = 32}, *backend).take();
  const std::vector<Token> tokens = prompt(model->config);
  const Chunk chunk{&cache, tokens};
  const auto hidden = forward.run({&chunk, 1}, Rows::all);
  std::vector<float> all(tokens.size() * static_cast<size_t>(model->config.n_vocab));
  forward.logits(hidden, static_cast<int64_t>(tokens.size()), all.data());
  return all;
}

// Rows of whole NVFP4 blocks.
std::vector<Config> configs() {
  std::vector<Config> all = {tiny_ple_config(), tiny_dense_config(), tiny_moe_config()};
  all[0].per_layer_dim = 64;
  all[2].n_expert_ff = 64;
  return all;
}

// Scaling by a power of two commutes with every rounding, so here equal means equal.
TEST_F(Scales, PowersOfTwoGiveTheBitsOfFoldedWeights) {
  for (const Config& config : configs())
    for (const TensorType type : {TensorType::F32, TensorType::NVFP4, TensorType::Q4_0}) {
      synthesize(config, {.matrix_type = type, .embedding_type = type, .seed = 3}, path("plain.gguf")).take();
      const gguf::File plain = gguf::open(path("plain.gguf")).take();
      write_scaled(plain, true, path("scaled.gguf"));
      write_folded(plain, true, path("folded.gguf"));
      const std::vector<float> scaled = logits(path("scaled.gguf"), Precision::exact);
      EXPECT_EQ(scaled, logits(path("folded.gguf"), Precision::exact)) << type_name(type);
      EXPECT_NE(scaled, logits(path("plain.gguf"), Precision::exact)) << type_name(type);
    }
}

TEST_F(Scales, AnyScaleMatchesTheReference) {
  for (const Config& config : configs()) {
    synthesize(config, {.matrix_type = TensorType::NVFP4, .embedding_type = TensorType::NVFP4, .seed = 4},
               path("plain.gguf"))
        .take();
    write_scaled(gguf::open(path("plain.gguf")).take(), false, path("scaled.gguf"));
    const auto model = open_model(path("scaled.gguf")).take();
    const auto reference = ReferenceNetwork(*model).logits(prompt(config));
    const std::vector<float> exact = logits(path("scaled.gguf"), Precision::exact);
    const size_t n_vocab = static_cast<size_t>(config.n_vocab);
    for (size_t i = 0; i < exact.size(); ++i) {
      const float expected = static_cast<float>(reference[i / n_vocab][i % n_vocab]);
      if (exact[i] == expected) continue;  // both -inf, for one
      ASSERT_NEAR(exact[i], expected, 0.05) << i;
    }
  }
}

// Integer products are scaled like the others.
TEST_F(Scales, FastPrecisionScalesToo) {
  const Config config = tiny_dense_config();
  synthesize(config, {.matrix_type = TensorType::Q8_0, .embedding_type = TensorType::Q8_0, .seed = 4},
             path("plain.gguf"))
      .take();
  const gguf::File plain = gguf::open(path("plain.gguf")).take();
  write_scaled(plain, true, path("scaled.gguf"));
  write_folded(plain, true, path("folded.gguf"));
  const std::vector<float> fast = logits(path("scaled.gguf"), Precision::fast);
  const std::vector<float> exact = logits(path("folded.gguf"), Precision::exact);
  double worst = 0;
  for (size_t i = 0; i < fast.size(); ++i)
    worst = std::max(worst, std::abs(double{fast[i]} - double{exact[i]}));
  EXPECT_GT(worst, 0);
  EXPECT_LT(worst, 1);
}

}  // namespace
}  // namespace carat
