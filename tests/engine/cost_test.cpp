// Bytes and multiply-adds against sums done by hand on a network of three layers, and what bounds them.
#include "engine/cost.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "kernels/backend.h"

namespace carat {
namespace {

const std::byte some_data{};

Tensor matrix(TensorType type, int64_t n_in, int64_t n_out, int64_t n = 1) {
  return {"", type, {n_in, n_out, n, 1}, &some_data};
}

// dim 64, vocabulary 512. Layers: sliding (window 4), full, and a full one that reads the second's keys: of a
// prompt, only the last row gets there. The first two Q4_0, the third BF16, the head (and embedding) Q8_0.
struct Network {
  Config config;
  Weights weights;

  Network() {
    config.dim = 64, config.n_vocab = 512, config.context_length = 100;
    config.layers = {{.sliding = true,
                      .head_dim = 32,
                      .n_heads = 2,
                      .n_kv_heads = 1,
                      .n_ff = 128,
                      .kv_source = 0,
                      .window = 4},
                     {.head_dim = 64, .n_heads = 2, .n_kv_heads = 1, .n_ff = 128, .kv_source = 1},
                     {.head_dim = 64, .n_heads = 2, .n_kv_heads = 1, .n_ff = 128, .kv_source = 1}};
    for (const LayerConfig& layer : config.layers) {
      const TensorType type = weights.layers.size() < 2 ? TensorType::Q4_0 : TensorType::BF16;
      LayerWeights w;
      w.q = matrix(type, 64, layer.q_size()), w.o = matrix(type, layer.q_size(), 64);
      if (weights.layers.size() < 2) w.k = w.v = matrix(type, 64, layer.kv_size());
      w.gate = w.up = matrix(type, 64, 128), w.down = matrix(type, 128, 64);
      weights.layers.push_back(w);
    }
    weights.token_embedding = weights.output = matrix(TensorType::Q8_0, 64, 512);
  }

  Cost cost(const Work& work, Precision precision = Precision::fast, KvType kv = TensorType::F16) const {
    const auto backend = make_cpu_backend({}).take();
    const KvCache cache =
        KvCache::create(config, {.n_positions = 100, .max_batch = 8, .type = kv}, *backend).take();
    return cost_of(config, weights, cache, precision, work);
  }
};

double adds(const Cost& cost, Arithmetic arithmetic) {
  return cost.multiply_adds[static_cast<size_t>(arithmetic)];
}

constexpr double kFirst = 64 * 64 + 2 * 64 * 32 + 64 * 64 + 3 * 64 * 128;  // weights of each layer
constexpr double kSecond = 64 * 128 + 2 * 64 * 64 + 128 * 64 + 3 * 64 * 128;
constexpr double kThird = 64 * 128 + 128 * 64 + 3 * 64 * 128;
constexpr double kHead = 64 * 512;
constexpr double kQ4_0 = 18.0 / 32, kQ8_0 = 34.0 / 32, kRow = 64 * kQ8_0;  // bytes

TEST(Cost, OneTokenReadsEveryWeightAndTheKeysItSees) {
  const Cost cost = Network().cost({.position = 9, .n_rows = 1, .rows_per_pass = 1, .all_logits = true});
  EXPECT_EQ(cost.weight_bytes, (kFirst + kSecond) * kQ4_0 + kThird * 2 + kHead * kQ8_0 + kRow);
  EXPECT_EQ(cost.weight_bytes, 165188);
  EXPECT_EQ(cost.kv_bytes,
            4 * 32 * 4 + 2 * 10 * 64 * 4);  // the window, and all ten positions twice; two bytes a value
  EXPECT_EQ(adds(cost, Arithmetic::int8), kFirst + kSecond + kHead);
  EXPECT_EQ(adds(cost, Arithmetic::bf16), kThird);
  EXPECT_EQ(adds(cost, Arithmetic::f32), 2 * (4 * 64 + 2 * 10 * 128));
  EXPECT_EQ(cost.n_bytes(), 165188 + 5632);
  EXPECT_EQ(cost.n_multiply_adds(), 118784 + 40960 + 5632);
}

TEST(Cost, APromptIsCutAtTheLastLayerThatWritesKeys) {
  // Rows 0 and 1 only write keys and values in the second layer, row 2 goes through all.
  const Cost two = Network().cost({.n_rows = 3, .rows_per_pass = 2});
  EXPECT_EQ(two.weight_bytes, 2 * kRow + kFirst * kQ4_0 + 2 * 64 * 64 * kQ4_0 + 165188);
  EXPECT_EQ(two.kv_bytes, 2 * 128 + 3 * 128 + 2 * 3 * 256);
  const double int8 = 3 * kFirst + 2 * 2 * 64 * 64 + kSecond + kHead;
  const double f32 = 2 * (6 * 64 + 2 * 3 * 128);
  EXPECT_EQ(adds(two, Arithmetic::int8), int8);
  EXPECT_EQ(adds(two, Arithmetic::bf16), kThird);
  EXPECT_EQ(adds(two, Arithmetic::f32), f32);
  // In one pass it is the same work, but everything is read once.
  const Cost one = Network().cost({.n_rows = 3, .rows_per_pass = 8});
  EXPECT_EQ(one.weight_bytes, 165188 + 2 * kRow);
  EXPECT_EQ(one.multiply_adds, two.multiply_adds);
}

TEST(Cost, WithoutTheCutAllRowsGoThroughAllLayers) {
  const Cost cost = Network().cost({.n_rows = 3, .rows_per_pass = 2, .cut = false});
  EXPECT_EQ(adds(cost, Arithmetic::int8), 3 * (kFirst + kSecond) + kHead);
  EXPECT_EQ(adds(cost, Arithmetic::bf16), 3 * kThird);
  EXPECT_EQ(adds(cost, Arithmetic::f32), 2 * (6 * 64 + 2 * 6 * 128));
  const Cost all = Network().cost({.n_rows = 3, .rows_per_pass = 2, .all_logits = true});
  EXPECT_EQ(adds(all, Arithmetic::int8), 3 * (kFirst + kSecond + kHead));
  EXPECT_EQ(adds(all, Arithmetic::bf16), 3 * kThird);
  EXPECT_EQ(all.weight_bytes, cost.weight_bytes + kHead * kQ8_0);  // the head in both passes
}

// Positions 6, 7 and 8 see 3 … 8 in a window of 4.
TEST(Cost, AWindowIsReadOncePerPass) {
  const Cost cost = Network().cost({.position = 6, .n_rows = 3, .rows_per_pass = 3, .all_logits = true});
  EXPECT_EQ(cost.kv_bytes, 6 * 128 + 2 * 9 * 256);
  EXPECT_EQ(adds(cost, Arithmetic::f32), 2 * (3 * 4 * 64 + 2 * (7 + 8 + 9) * 128));
}

TEST(Cost, KeysInBlocksAreMultipliedAsIntegers) {
  const Work work{.position = 9, .all_logits = true};
  const Cost cost = Network().cost(work, Precision::fast, TensorType::Q8_0);
  EXPECT_EQ(cost.kv_bytes, 5632 * kQ8_0 / 2);
  EXPECT_EQ(adds(cost, Arithmetic::int8), kFirst + kSecond + kHead + 2816);
  EXPECT_EQ(adds(cost, Arithmetic::f32), 2816);
  const Cost exact = Network().cost(work, Precision::exact, TensorType::Q8_0);
  EXPECT_EQ(adds(exact, Arithmetic::int8), 0);
  EXPECT_EQ(adds(exact, Arithmetic::bf16), 0);
  EXPECT_EQ(adds(exact, Arithmetic::f32), kFirst + kSecond + kThird + kHead + 5632);
}

TEST(Cost, KeysInBf16AreWidened) {
  const Cost cost = Network().cost({.position = 9, .all_logits = true}, Precision::fast, TensorType::BF16);
  EXPECT_EQ(adds(cost, Arithmetic::bf16), kThird);
  EXPECT_EQ(adds(cost, Arithmetic::f32), 5632);
}

TEST(Cost, OfExpertsTheChosenOnesCount) {
  Network network;
  network.config.n_experts = 4, network.config.n_experts_used = 1, network.config.n_expert_ff = 32;
  const Cost without = Network().cost({.all_logits = true}),
             without_two = Network().cost({.n_rows = 2, .rows_per_pass = 2, .all_logits = true});
  network.weights.layers[0].expert_gate_up = matrix(TensorType::Q4_0, 64, 64, 4);
  network.weights.layers[0].expert_down = matrix(TensorType::Q4_0, 32, 64, 4);
  constexpr double kExpert = 64 * 64 + 32 * 64;
  const Cost one = network.cost({.all_logits = true});
  EXPECT_EQ(one.weight_bytes - without.weight_bytes, kExpert * kQ4_0);
  EXPECT_EQ(adds(one, Arithmetic::int8) - adds(without, Arithmetic::int8), kExpert);
  // Two rows leave each expert alone with probability 9/16.
  const Cost two = network.cost({.n_rows = 2, .rows_per_pass = 2, .all_logits = true});
  EXPECT_EQ(two.weight_bytes - without_two.weight_bytes, 4 * 7.0 / 16 * kExpert * kQ4_0);
  EXPECT_EQ(adds(two, Arithmetic::int8) - adds(without_two, Arithmetic::int8), 2 * kExpert);
}

TEST(Bound, TheLongerOfReadingAndArithmetic) {
  const Roof roof{.n_threads = 1, .read_bytes = 1000, .multiply_adds = {100, 10, 1}};
  Cost cost{.weight_bytes = 4000, .kv_bytes = 1000, .multiply_adds = {200, 10, 1}};
  const Bound memory = bound_of(cost, roof, true);
  EXPECT_EQ(memory.seconds, 5);
  EXPECT_EQ(memory.name(), "memory");
  const Bound cached = bound_of(cost, roof, false);
  EXPECT_EQ(cached.seconds, 2 + 1 + 1);
  EXPECT_EQ(cached.name(), "int8");
  cost.multiply_adds = {100, 20, 3};
  EXPECT_EQ(bound_of(cost, roof, true).seconds, 6);
  EXPECT_EQ(bound_of(cost, roof, true).name(), "f32");
}

TEST(Roof, EveryRateIsMeasured) {
  ThreadPool pool(2);
  const Roof roof = measure_roof(pool).take();
  EXPECT_EQ(roof.n_threads, pool.size());
  EXPECT_GT(roof.read_bytes, 0);
  for (const Arithmetic arithmetic : kArithmetics) EXPECT_GT(roof.rate(arithmetic), 0) << name_of(arithmetic);
}

TEST(Roof, AnUnknownIsaIsAnError) {
  const char* before = std::getenv("CARAT_ISA");
  const std::string old = before == nullptr ? "" : before;
  ::setenv("CARAT_ISA", "avx3", 1);
  ThreadPool pool(1);
  EXPECT_FALSE(measure_roof(pool));
  before == nullptr ? ::unsetenv("CARAT_ISA") : ::setenv("CARAT_ISA", old.c_str(), 1);
}

}  // namespace
}  // namespace carat
