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
  EXPECT_EQ(error([](FakeFile& f) { f.tensor("blk.0.attn_norm.weight").type = TensorType::Q8_0; }),
            "fake.gguf: tensor 'blk.0.attn_norm.weight': type Q8_0, expected F32");
  EXPECT_EQ(error([](FakeFile& f) { f.tensor("blk.2.ffn_up.weight").type = TensorType::I32; }),
            "fake.gguf: tensor 'blk.2.ffn_up.weight': type I32, expected one that Carat computes with");
  for (const float divisor : {0.0f, -1.0f, 1e-45f, 9e-4f, INFINITY, NAN})
    EXPECT_EQ(
        error([&](FakeFile& f) { f.set_values("rope_freqs.weight", divisor); }),
        fmt::format(
            "fake.gguf: tensor 'rope_freqs.weight': value 0 is {}, expected a finite number from 0.001 on",
            divisor));
  for (const float divisor : {1e-3f, 1.0f, 8.0f, 1e30f})
    EXPECT_EQ(error([&](FakeFile& f) { f.set_values("rope_freqs.weight", divisor); }), "no error");
  EXPECT_EQ(error([](FakeFile& f) {
              f.add("output.weight", {64, 511, 1, 1}, TensorType::F32);
            }),
            "fake.gguf: tensor 'output.weight': shape [64, 511], expected [64, 512]");
}

TEST(Weights, ScalesBelongToTheirMatrices) {
  Config config = tiny_moe_config();
  config.n_expert_ff = 64;  // whole blocks
  FakeFile fake(config, TensorType::NVFP4);
  const auto add = [&](const std::string& name, int64_t n, float value) {
    fake.add(name, {n, 1, 1, 1}, TensorType::F32);
    fake.set_values(name, value);
  };
  add("blk.1.attn_q.scale", 1, 0.5f);
  add("blk.1.ffn_gate_up_exps.scale", 6, 3);
  add("token_embd.scale", 1, 0.25f);
  add("blk.1.attn_q.input_scale", 1, 7);
  const Weights weights = find_weights(fake.file, config).take();
  const LayerWeights& layer = weights.layers[1];
  EXPECT_EQ(layer.q.factor(), 0.5f);
  EXPECT_EQ(layer.k.scale, nullptr);
  EXPECT_EQ(weights.layers[0].q.factor(), 1);
  EXPECT_EQ(layer.expert_gate_up.slice(5).factor(), 3);
  EXPECT_EQ(layer.expert_gate_up.slice(5).scale - layer.expert_gate_up.scale, 5);
  // The head is the embedding, and so is its scale.
  EXPECT_EQ(weights.token_embedding.factor(), 0.25f);
  EXPECT_EQ(weights.output.factor(), 0.25f);
  // These two are the network's own tensors in every file: no factors of the matrices beside them.
  EXPECT_TRUE(layer.router_scale);
  EXPECT_EQ(layer.router.scale, nullptr);
  EXPECT_TRUE(layer.expert_down_scale);
  EXPECT_EQ(layer.expert_down.scale, nullptr);
}

TEST(Weights, ScalesOfSeparateExpertsAndHeads) {
  const Config config = tiny_moe_config();
  FakeFile fake(config);
  fake.remove("blk.0.ffn_gate_up_exps.weight");
  for (const std::string part : {"gate", "up"}) {
    fake.add(fmt::format("blk.0.ffn_{}_exps.weight", part), {64, 32, 6, 1}, TensorType::F32);
    fake.add(fmt::format("blk.0.ffn_{}_exps.scale", part), {6, 1, 1, 1}, TensorType::F32);
    fake.set_values(fmt::format("blk.0.ffn_{}_exps.scale", part), part == "up" ? 2.0f : 4.0f);
  }
  fake.add("output.weight", {64, 512, 1, 1}, TensorType::F32);
  fake.add("output.scale", {1, 1, 1, 1}, TensorType::F32);
  fake.set_values("output.scale", 8);
  const Weights weights = find_weights(fake.file, config).take();
  EXPECT_EQ(weights.layers[0].expert_gate.factor(), 4);
  EXPECT_EQ(weights.layers[0].expert_up.factor(), 2);
  EXPECT_EQ(weights.output.factor(), 8);
  EXPECT_EQ(weights.token_embedding.factor(), 1);
}

TEST(Weights, BadScalesAreRefused) {
  const auto with_scale = [](const std::string& name, const Shape& shape, float value) {
    return error_after(tiny_moe_config(), [&](FakeFile& f) {
      f.add(name, shape, TensorType::F32);
      f.set_values(name, value);
    });
  };
  EXPECT_EQ(with_scale("blk.1.attn_q.scale", {2, 1, 1, 1}, 1),
            "fake.gguf: tensor 'blk.1.attn_q.scale': shape [2], expected [1]");
  EXPECT_EQ(with_scale("blk.1.ffn_gate_up_exps.scale", {1, 1, 1, 1}, 1),
            "fake.gguf: tensor 'blk.1.ffn_gate_up_exps.scale': shape [1], expected [6]");
  EXPECT_EQ(with_scale("blk.1.attn_q.scale", {1, 1, 1, 1}, NAN),
            "fake.gguf: tensor 'blk.1.attn_q.scale': value 0 is nan, expected a finite number");
  // A scale of what has none, and one of nothing.
  for (const std::string name : {"blk.1.attn_norm.scale", "blk.9.attn_q.scale", "blk.9.attn_q.input_scale"})
    EXPECT_EQ(
        with_scale(name, {1, 1, 1, 1}, 1),
        fmt::format("fake.gguf: tensor '{}': no part of the network that the file's keys describe", name));
}

}  // namespace
}  // namespace carat
