// Synthetic models: they open, are reproducible, and their values have the spread they should have.
#include "model/synth.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <set>

#include "base/file.h"
#include "fake_file.h"
#include "model/model.h"
#include "quant/codec.h"

namespace carat {
namespace {

struct SynthTest : testing::Test {
  std::string path(const std::string& name) const { return (directory / name).string(); }
  std::filesystem::path directory =
      std::filesystem::temp_directory_path() /
      fmt::format("carat_synth_{}", testing::UnitTest::GetInstance()->random_seed());
  void SetUp() override { std::filesystem::create_directories(directory); }
  void TearDown() override { std::filesystem::remove_all(directory); }
};

TEST_F(SynthTest, EveryPublishedSizeOpensScaledDown) {
  for (const std::string_view size : published_sizes()) {
    const SynthShape shape{.like = std::string(size), .n_layers = 12, .width_divisor = 32, .n_vocab = 600};
    const Config config = synth_config(shape).take();
    synthesize(shape, {.matrix_type = TensorType::Q4_0, .embedding_type = TensorType::Q8_0}, path("m.gguf"))
        .take();
    const auto model = open_model(path("m.gguf")).take();
    EXPECT_EQ(model->config, config) << size;
    EXPECT_EQ(model->weights.token_embedding.type, TensorType::Q8_0);
    EXPECT_EQ(model->weights.layers[3].down.type, TensorType::Q4_0);
    const char* types = config.per_layer_dim > 0 ? "Q4_0 (Q8_0, F16)"
                        : config.n_experts > 0   ? "Q4_0 (F32, Q8_0)"
                                                 : "Q4_0 (Q8_0)";
    EXPECT_EQ(model->type_summary(), types) << size;
    EXPECT_EQ(model->tokenizer.n_tokens(), 600);
  }
}

TEST_F(SynthTest, ScalingKeepsTheArchitecture) {
  const Config e2b = synth_config({.like = "e2b", .n_layers = 14, .width_divisor = 8, .n_vocab = 512}).take();
  EXPECT_EQ(e2b.dim, 192);
  EXPECT_EQ(e2b.layers[0].head_dim, 32);
  EXPECT_EQ(e2b.layers[4].head_dim, 64);
  EXPECT_EQ(e2b.layers[0].n_ff, 768);
  EXPECT_EQ(e2b.layers[13].n_ff, 1536);
  EXPECT_EQ(e2b.last_kv_layer(), 9);
  EXPECT_EQ(e2b.layers[12].kv_source, 8);
  EXPECT_EQ(synth_config({.like = "31b"}).take().layers, published_config("31b").take().layers);
  EXPECT_EQ(synth_config({.like = "e2b", .n_layers = 1}).take().layers[0].sliding, false);
  EXPECT_EQ(synth_config({.like = "26b-a4b", .n_experts = 4}).take().n_experts_used, 4);
  EXPECT_FALSE(synth_config({.like = "31b", .n_experts = 4}));
  EXPECT_FALSE(synth_config({.like = "x"}));
  EXPECT_FALSE(synth_config({.like = "e2b", .n_vocab = 100}));
}

TEST_F(SynthTest, SameOptionsSameBytes) {
  const auto make = [&](uint64_t seed, const std::string& name) {
    synthesize(tiny_moe_config(), {.seed = seed}, path(name)).take();
    return read_file(path(name)).take();
  };
  EXPECT_EQ(make(1, "a"), make(1, "b"));
  EXPECT_NE(make(1, "a"), make(2, "b"));
}

// Equal rows would be tokens that tie and experts that a router cannot tell apart.
TEST_F(SynthTest, NoTwoRowsAreEqual) {
  for (const TensorType type : {TensorType::F32, TensorType::Q6_K}) {
    synthesize(
        SynthShape{.like = "26b-a4b", .n_layers = 2, .width_divisor = 11, .n_vocab = 1024, .n_experts = 32},
        {.matrix_type = type, .embedding_type = type}, path("m.gguf"))
        .take();
    const auto model = open_model(path("m.gguf")).take();
    for (const Tensor& tensor : model->file.tensors) {
      std::set<std::string_view> rows;
      for (int64_t i = 0; i < tensor.n_rows(); ++i)
        rows.insert({reinterpret_cast<const char*>(tensor.row(i)), tensor.row_bytes()});
      EXPECT_EQ(static_cast<int64_t>(rows.size()), tensor.n_rows()) << tensor.name << ", " << type_name(type);
    }
  }
}

double spread(const Tensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.n_elements()));
  ThreadPool pool(1);
  decode_tensor(tensor, values.data(), pool);
  double sum = 0;
  for (const float v : values) sum += static_cast<double>(v) * v;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

TEST_F(SynthTest, ValuesHaveTheirSpread) {
  synthesize(SynthShape{.like = "e2b", .n_layers = 10, .width_divisor = 8, .n_vocab = 512},
             {.matrix_type = TensorType::F32, .embedding_type = TensorType::F32}, path("m.gguf"))
      .take();
  const auto model = open_model(path("m.gguf")).take();
  EXPECT_NEAR(spread(model->weights.layers[2].gate) * std::sqrt(192), 1, 0.03);
  EXPECT_NEAR(spread(model->weights.layers[2].down) * std::sqrt(768), 1, 0.03);
  EXPECT_NEAR(spread(model->weights.per_layer_embedding) * std::sqrt(32), 1, 0.03);
  EXPECT_NEAR(spread(model->weights.layers[0].q_norm) * std::pow(32, 0.25), 1, 0.1);
  // Distinct rows, not one row repeated.
  const Tensor& gate = model->weights.layers[2].gate;
  EXPECT_NE(std::memcmp(gate.row(0), gate.row(1), gate.row_bytes()), 0);
}

// Formats without an encoder are made of random codes, whose scales give the same spread.
TEST_F(SynthTest, EveryTypeCanBeMade) {
  for (const Codec& codec : codecs()) {
    synthesize(SynthShape{.like = "12b", .n_layers = 6, .width_divisor = 15, .n_vocab = 512},
               {.matrix_type = codec.type, .embedding_type = codec.type}, path("m.gguf"))
        .take();
    const auto model = open_model(path("m.gguf")).take();
    const Tensor& gate = model->weights.layers[2].gate;
    EXPECT_EQ(gate.type, codec.type);
    // A sign stands for the mean magnitude, a ternary value for zero or the largest.
    const double tolerance = type_info(codec.type).bits_per_weight() < 2.3 && codec.encode != nullptr ? 0.25 : 0.03;
    EXPECT_NEAR(spread(gate) * 16, 1, tolerance) << type_name(codec.type);
    EXPECT_EQ(gate.n_columns(), 256);
  }
}

}  // namespace
}  // namespace carat
