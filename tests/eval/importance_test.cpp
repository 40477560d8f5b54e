// What texts send through a model's matrices: the network is not disturbed by being watched, and what is seen
// is what reaches the matrices.
#include "eval/importance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>

#include "eval/moments.h"
#include "eval/small_models.h"
#include "model/forward.h"
#include "quant/codec.h"

namespace carat {
namespace {

struct Observed : testing::Test {
  SmallModels models;
  std::shared_ptr<const Model> dense = models.make(1);

  // Of the 26B-A4B's kind.
  std::shared_ptr<const Model> mixture() {
    const std::string path =
        (std::filesystem::temp_directory_path() / fmt::format("carat_mix_{}.gguf", ::getpid())).string();
    const SynthShape shape{
        .like = "26b-a4b", .n_layers = 6, .width_divisor = 22, .n_vocab = 600, .n_experts = 8};
    synthesize(shape, {.matrix_type = TensorType::F16, .embedding_type = TensorType::F16, .seed = 5}, path)
        .take();
    auto model = open_model(path).take();
    std::filesystem::remove(path);
    return model;
  }
  static std::vector<Token> tokens(int64_t n, uint64_t seed = 3) {
    Random random(seed);
    std::vector<Token> all;
    for (int64_t i = 0; i < n; ++i) all.push_back(static_cast<Token>(random.below(600)));
    return all;
  }
  static ImportanceMatrix importance_of(const std::shared_ptr<const Model>& model, int n_threads = 1,
                                        bool head = false) {
    const CalibrationText text{"text", tokens(200)};
    auto result = collect_importance(model, {&text, 1}, {.n_ctx = 64, .n_threads = n_threads}, head);
    EXPECT_TRUE(result) << result.error().message;
    return result.take();
  }
};

TEST_F(Observed, TheNetworkIsNotDisturbed) {
  for (const auto& model : {dense, mixture()}) {
    const auto plain = make_cpu_backend({.n_threads = 1, .precision = Precision::exact}).take();
    int64_t n_seen = 0;
    const auto tapped = tap(*plain, [&](const TappedInput& input) { n_seen += input.n_rows; });
    std::vector<float> hidden[2];
    for (int i = 0; i < 2; ++i) {
      Backend& backend = i == 0 ? *plain : *tapped;
      Forward forward = Forward::create(model, backend, {.max_rows = 32}).take();
      KvCache cache = KvCache::create(model->config, {32, 32, TensorType::F16}, backend).take();
      const std::vector<Token> prompt = tokens(32);
      const Chunk chunk{&cache, prompt};
      const auto rows = forward.run({&chunk, 1}, Rows::all);
      hidden[i].assign(rows.begin(), rows.end());
    }
    EXPECT_EQ(hidden[0], hidden[1]);
    EXPECT_GT(n_seen, 32);
  }
}

// Inputs behind a norm are known up to its gains: the squares of x / gain sum up to the width.
void expect_normed(const ImportanceMatrix& importance, const gguf::File& file, const std::string& matrix,
                   const std::string& norm) {
  const auto entry = importance.entries.find(matrix);
  ASSERT_NE(entry, importance.entries.end()) << matrix;
  const auto n = static_cast<size_t>(entry->second.n_columns);
  const Tensor& gains = *file.find(norm);
  double n_rows = 0;
  std::vector<double> sums(n);
  for (int64_t m = 0; m < entry->second.n_matrices(); ++m) {
    n_rows += entry->second.counts[static_cast<size_t>(m)];
    for (size_t i = 0; i < n; ++i) sums[i] += entry->second.sums[static_cast<size_t>(m) * n + i];
  }
  double width = 0;
  for (size_t i = 0; i < n; ++i) width += sums[i] / n_rows / std::pow(gains.f32()[i], 2);
  EXPECT_NEAR(width, static_cast<double>(n), 1e-3 * static_cast<double>(n)) << matrix;
}

TEST_F(Observed, NormedInputsHaveTheirNorm) {
  const ImportanceMatrix importance = importance_of(dense);
  EXPECT_EQ(importance.n_chunks, 3);
  EXPECT_EQ(importance.chunk_length, 64);
  for (const char* layer : {"blk.0.", "blk.4."})
    for (const auto& [matrix, norm] :
         {std::pair("attn_q.weight", "attn_norm.weight"), std::pair("ffn_up.weight", "ffn_norm.weight")})
      expect_normed(importance, dense->file, std::string(layer) + matrix, std::string(layer) + norm);
  EXPECT_EQ(importance.entries.find("blk.0.attn_q.weight")->second.counts, std::vector<float>{192});
  EXPECT_EQ(importance.entries.find("blk.0.attn_q.weight")->second.sums,
            importance.entries.find("blk.0.attn_k.weight")->second.sums);
  // Layers that read another's keys have no inputs of K; tables and the per-layer projection are nobody's
  // "blk.".
  for (const auto& [name, entry] : importance.entries) EXPECT_TRUE(name.starts_with("blk.")) << name;
}

TEST_F(Observed, TheHeadOnDemand) {
  const ImportanceMatrix importance = importance_of(dense, 1, true);
  expect_normed(importance, dense->file, std::string(dense->weights.output.name), "output_norm.weight");
}

// A quantized cache changes what is behind attention, and nothing before it.
TEST_F(Observed, TheCacheIsTheOneAskedFor) {
  const CalibrationText text{"text", tokens(200)};
  const ImportanceMatrix plain = importance_of(dense),
                         cached = collect_importance(dense, {&text, 1}, {.n_ctx = 64, .kv = TensorType::Q4_0}).take();
  const auto sums = [](const ImportanceMatrix& importance, const char* name) {
    return importance.entries.find(name)->second.sums;
  };
  EXPECT_EQ(sums(plain, "blk.0.attn_v.weight"), sums(cached, "blk.0.attn_v.weight"));
  const auto before = sums(plain, "blk.0.attn_output.weight"), after = sums(cached, "blk.0.attn_output.weight");
  EXPECT_NE(before, after);
  double total = 0, other = 0;
  for (const float v : before) total += v;
  for (const float v : after) other += v;
  EXPECT_NEAR(other, total, 0.2 * total);
}

TEST_F(Observed, ThreadsDoNotMatter) {
  const ImportanceMatrix one = importance_of(dense), three = importance_of(dense, 3);
  for (const auto& [name, entry] : one.entries)
    EXPECT_EQ(entry.sums, three.entries.find(name)->second.sums) << name;
}

TEST_F(Observed, ExpertsHaveTheirOwn) {
  const auto model = mixture();
  const ImportanceMatrix importance = importance_of(model);
  const std::string first = model->file.find("blk.0.ffn_gate_up_exps.weight")
                                ? "blk.0.ffn_gate_up_exps.weight"
                                : "blk.0.ffn_gate_exps.weight";
  expect_normed(importance, model->file, first, "blk.0.pre_ffw_norm_2.weight");
  const InputSquares& down = importance.entries.find("blk.0.ffn_down_exps.weight")->second;
  EXPECT_EQ(down.counts, importance.entries.find(first)->second.counts);
  double n_rows = 0;
  for (const float count : down.counts) n_rows += count;
  EXPECT_EQ(n_rows, 192.0 * static_cast<double>(model->config.n_experts_used));
}

// What an expert's second matrix gets is the gated product of what its first one got.
TEST_F(Observed, ExpertsHiddenValues) {
  const auto model = mixture();
  const Tensor& gate_up = model->weights.layers[0].expert_gate_up;
  ASSERT_TRUE(gate_up);
  const int64_t dim = gate_up.n_columns(), n_ff = model->config.n_expert_ff;
  std::map<int64_t, std::vector<float>> inputs;
  ThreadPool pool(1);
  int64_t n_checked = 0;
  const auto check = [&](const TappedInput& input) {
    if (input.weights[0]->name == gate_up.name) inputs[input.matrix].assign(input.x, input.x + dim);
    if (input.weights[0]->name != "blk.0.ffn_down_exps.weight") return;
    std::vector<float> w(static_cast<size_t>(dim * 2 * n_ff));
    decode_tensor(gate_up.slice(input.matrix), w.data(), pool);
    const std::vector<float>& x = inputs.at(input.matrix);
    for (int64_t i = 0; i < n_ff; ++i) {
      double gate = 0, up = 0;
      for (int64_t c = 0; c < dim; ++c) {
        gate += static_cast<double>(w[static_cast<size_t>(i * dim + c)]) * x[static_cast<size_t>(c)];
        up += static_cast<double>(w[static_cast<size_t>((n_ff + i) * dim + c)]) * x[static_cast<size_t>(c)];
      }
      const double gelu =
          0.5 * gate * (1 + std::tanh(std::sqrt(2 / M_PI) * (gate + 0.044715 * gate * gate * gate)));
      EXPECT_NEAR(input.x[i], gelu * up, 1e-4 * (1 + std::fabs(gelu * up)));
    }
    ++n_checked;
  };
  const CalibrationText text{"text", tokens(64)};
  const auto chunks = cut_into_chunks(*model, {&text, 1}, {.n_ctx = 64}).take();
  ASSERT_TRUE(observe_inputs(model, chunks, {}, false, check));
  EXPECT_GT(n_checked, 1);
}

TEST_F(Observed, MomentsAreWhatTheirDefinitionSays) {
  const auto products = make_cpu_backend({.n_threads = 1, .precision = Precision::exact}).take();
  MomentCollector collector(*products, {"a", "b"});
  const Tensor a{"a", TensorType::F32, {5, 2, 1, 1}, nullptr, nullptr},
      b{"b", TensorType::F32, {5, 3, 1, 1}, nullptr, nullptr};
  const Tensor other{"c", TensorType::F32, {5, 3, 1, 1}, nullptr, nullptr};
  Random random(6);
  std::vector<float> x(7 * 5);
  for (float& v : x) v = static_cast<float>(random.normal());
  const Tensor* const weights[] = {&other, &a, &b};
  collector.add({weights, 0, x.data(), 4});
  collector.add({weights, 0, x.data() + 20, 3});
  const InputMoments* moments = collector.find("a", 0);
  ASSERT_NE(moments, nullptr);
  EXPECT_EQ(collector.find("b", 0), moments);
  EXPECT_EQ(collector.find("c", 0), nullptr);
  EXPECT_EQ(collector.find("a", 1), nullptr);
  const std::vector<float> mean = moments->mean();
  for (size_t i = 0; i < 5; ++i)
    for (size_t j = 0; j < 5; ++j) {
      double expected = 0;
      for (size_t r = 0; r < 7; ++r) expected += static_cast<double>(x[r * 5 + i]) * x[r * 5 + j] / 7;
      EXPECT_NEAR(mean[i * 5 + j], expected, 1e-5);
    }
}

TEST_F(Observed, TextsThatAreTooShortAreRefused) {
  const CalibrationText texts[] = {{"a", tokens(20)}, {"b", tokens(63)}};
  const auto none = collect_importance(dense, texts, {.n_ctx = 64});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().message, "the longest text has 63 tokens: expected at least the 64 of one piece");
  EXPECT_EQ(collect_importance(dense, texts, {.n_ctx = 20, .max_chunks = 2})->n_chunks, 2);
  const auto chunks = cut_into_chunks(*dense, texts, {.n_ctx = 20}).take();
  EXPECT_EQ(chunks.chunks.size(), 4u);  // one and three
  for (const auto& chunk : chunks.chunks) EXPECT_EQ(chunk.front(), dense->tokenizer.bos());
}

}  // namespace
}  // namespace carat
