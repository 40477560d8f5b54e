// Weights: every slot found and checked, what is optional may be absent, and one clear line for each thing
// wrong.
#include "model/weights.h"

#include <gtest/gtest.h>

#include "fake_file.h"

namespace carat {
namespace {

template <class Change>
std::string error_after(const Config& config, Change change) {
  FakeFile fake(config);
  change(fake);
  const Result<Weights> result = find_weights(fake.file, config);
  return result ? "no error" : result.error().message;
}

TEST(Weights, EverySlotIsFound) {
  for (const Config& config : {tiny_ple_config(), tiny_dense_config(), tiny_moe_config()}) {
    FakeFile fake(config, TensorType::Q8_0);
    const Weights weights = find_weights(fake.file, config).take();
    EXPECT_EQ(weights.token_embedding.data, fake.tensor("token_embd.weight").data);
    EXPECT_EQ(weights.output.data, weights.token_embedding.data);
    EXPECT_EQ(weights.layers.size(), config.layers.size());
    for (size_t i = 0; i < weights.layers.size(); ++i) {
      const LayerWeights& layer = weights.layers[i];
      EXPECT_EQ(layer.down.data, fake.tensor(fmt::format("blk.{}.ffn_down.weight", i)).data);
      EXPECT_EQ(static_cast<bool>(layer.k), config.owns_kv(static_cast<int>(i)));
      EXPECT_EQ(static_cast<bool>(layer.v), config.owns_kv(static_cast<int>(i)) && !config.layers[i].k_is_v);
      EXPECT_EQ(static_cast<bool>(layer.per_layer_gate), config.per_layer_dim > 0);
      EXPECT_EQ(static_cast<bool>(layer.router), config.n_experts > 0);
    }
  }
}

TEST(Weights, OptionalAndDeadTensors) {
  const Config config = tiny_ple_config();
  FakeFile fake(config);
  fake.remove("rope_freqs.weight");
  for (int i = 0; i < config.n_layers(); ++i) fake.remove(fmt::format("blk.{}.layer_output_scale.weight", i));
  fake.add("blk.6.attn_k.weight", {3, 3, 1, 1}, TensorType::F32);  // a shared layer: nobody reads it
  fake.add("output.weight", {64, 512, 1, 1}, TensorType::F16);
  const Weights weights = find_weights(fake.file, config).take();
  EXPECT_FALSE(weights.rope_divisors);
  EXPECT_FALSE(weights.layers[2].output_scale);
  EXPECT_FALSE(weights.layers[6].k);
  EXPECT_EQ(weights.output.type, TensorType::F16);
}

TEST(Weights, ExpertsMayBeApart) {
  const Config config = tiny_moe_config();
  FakeFile fake(config);
  fake.remove("blk.1.ffn_gate_up_exps.weight");
  fake.add("blk.1.ffn_gate_exps.weight", {64, 32, 6, 1}, TensorType::F32);
  EXPECT_EQ(find_weights(fake.file, config).error().message,
            "fake.gguf: tensor 'blk.1.ffn_up_exps.weight' is missing, expected shape [64, 32, 6]");
  fake.add("blk.1.ffn_up_exps.weight", {64, 32, 6, 1}, TensorType::F32);
  const Weights weights = find_weights(fake.file, config).take();
  EXPECT_FALSE(weights.layers[1].expert_gate_up);
  EXPECT_TRUE(weights.layers[1].expert_gate);
  EXPECT_TRUE(weights.layers[1].expert_up);
}

TEST(Weights, RefusesWithOneLine) {
  const auto error = [](auto change) { return error_after(tiny_moe_config(), change); };
  EXPECT_EQ(error([](FakeFile&) {}), "no error");
  EXPECT_EQ(error([](FakeFile& f) { f.remove("blk.2.layer_output_scale.weight"); }),
            "fake.gguf: tensor 'blk.2.layer_output_scale.weight' is missing, expected shape [1]");
  EXPECT_EQ(error([](FakeFile& f) { f.remove("blk.3.attn_q.weight"); }),
            "fake.gguf: tensor 'blk.3.attn_q.weight' is missing, expected shape [64, 128]");
  EXPECT_EQ(error([](FakeFile& f) { f.remove("blk.0.ffn_gate_up_exps.weight"); }),
            "fake.gguf: tensor 'blk.0.ffn_gate_up_exps.weight' is missing, expected shape [64, 64, 6]");
  EXPECT_EQ(error([](FakeFile& f) {
              f.tensor("blk.0.attn_k.weight").shape = {64, 31, 1, 1};
            }),
            "fake.gguf: tensor 'blk.0.attn_k.weight': shape [64, 31], expected [64, 32]");
  EXPECT_EQ(error([](FakeFile& f) { f.tensor("blk.0.attn_norm.weight").type = TensorType::F16; }),
            "fake.gguf: tensor 'blk.0.attn_norm.weight': type F16, expected F32");
  EXPECT_EQ(error([](FakeFile& f) { f.tensor("blk.2.ffn_up.weight").type = TensorType::I32; }),
            "fake.gguf: tensor 'blk.2.ffn_up.weight': type I32, expected one that Carat computes with");
  for (const float divisor : {0.0f, -1.0f, 1e-45f, 9e-4f, INFINITY, NAN})
    EXPECT_EQ(error([&](FakeFile& f) { f.set_values("rope_freqs.weight", divisor); }),
              fmt::format("fake.gguf: tensor 'rope_freqs.weight': value 0 is {}, expected a finite number from 0.001 on",
                          divisor));
  for (const float divisor : {1e-3f, 1.0f, 8.0f, 1e30f})
    EXPECT_EQ(error([&](FakeFile& f) { f.set_values("rope_freqs.weight", divisor); }), "no error");
  EXPECT_EQ(error([](FakeFile& f) {
              f.add("output.weight", {64, 511, 1, 1}, TensorType::F32);
            }),
            "fake.gguf: tensor 'output.weight': shape [64, 511], expected [64, 512]");
}

TEST(Weights, ScalesOfWholeMatricesAreRefusedUnlessNeutral) {
  const auto with_scale = [](float value) {
    return error_after(tiny_moe_config(), [&](FakeFile& f) {
      f.add("blk.1.attn_q.scale", {1, 1, 1, 1}, TensorType::F32);
      f.set_values("blk.1.attn_q.scale", value);
    });
  };
  EXPECT_EQ(with_scale(1), "no error");
  EXPECT_EQ(with_scale(0.5f),
            "fake.gguf: tensor 'blk.1.attn_q.scale': a scale of the whole matrix other than 1, expected "
            "scales inside "
            "the blocks only");
}

}  // namespace
}  // namespace carat
