// Parameters as model files: what is saved opens as a model, loads back, and the engine's own forward pass in
// exact precision gives the logits of the training network, for every variant of the architecture.
#include "train/model_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "gguf/writer.h"
#include "model/forward.h"
#include "model/vocabulary.h"
#include "quant/codec.h"
#include "train/blas.h"
#include "train/network.h"
#include "train/toy.h"

namespace carat::train {
namespace {

std::string temporary_path(std::string_view name) {
  return fmt::format("{}/carat_model_file_{}_{}.gguf", testing::TempDir(), name, ::getpid());
}

gguf::Metadata tokenizer_metadata(int64_t n_vocab) {
  gguf::Metadata metadata;
  describe(sample_vocabulary(n_vocab), metadata);
  return metadata;
}

// A variant with a real vocabulary and weights that are not all at their start.
Parameters some_parameters(Config config) {
  config.n_vocab = kMinSampleTokens;
  Parameters parameters = make_parameters(config);
  initialize(parameters, 3);
  Random random(4);
  for (const Parameter& p : parameters.list) {
    if (!p.trainable || p.is_matrix()) continue;
    for (float& value : parameters.of(p)) value *= static_cast<float>(1 + 0.2 * random.normal());
  }
  return parameters;
}

std::shared_ptr<const Model> saved(const Parameters& parameters, const std::string& path, TensorType type) {
  const gguf::Metadata tokenizer = tokenizer_metadata(parameters.config.n_vocab);
  SaveOptions options;
  options.type = type;
  options.tokenizer = &tokenizer;
  options.metadata = {{"carat.made_by", std::string("a test")}};
  const auto written = save_parameters(parameters, path, options);
  EXPECT_TRUE(written.has_value()) << (written.has_value() ? "" : written.error().message);
  auto model = open_model(path);
  EXPECT_TRUE(model.has_value()) << (model.has_value() ? "" : model.error().message);
  return model.has_value() ? model.take() : nullptr;
}

class ModelFile : public testing::TestWithParam<size_t> {
 protected:
  void SetUp() override { ASSERT_TRUE(load_blas().has_value()); }
  void TearDown() override { std::filesystem::remove(path_); }
  const toy::Variant variant_ = toy::variants()[GetParam()];
  const std::string path_ = temporary_path(variant_.name);
  ThreadPool pool_{1};
};

TEST_P(ModelFile, LoadsWhatWasSaved) {
  const Parameters parameters = some_parameters(variant_.config);
  const auto model = saved(parameters, path_, TensorType::F32);
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(model->file.metadata.text("carat.made_by").take(), "a test");
  const auto loaded = load_parameters(*model, pool_);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  ASSERT_EQ(loaded->values.size(), parameters.values.size());
  EXPECT_EQ(
      std::memcmp(loaded->values.data(), parameters.values.data(), parameters.values.size() * sizeof(float)),
      0);
  EXPECT_EQ(loaded->config.n_layers(), parameters.config.n_layers());
  for (int i = 0; i < loaded->config.n_layers(); ++i) {
    const auto at = static_cast<size_t>(i);
    EXPECT_EQ(loaded->config.layers[at].kv_source, parameters.config.layers[at].kv_source);
    EXPECT_EQ(loaded->config.layers[at].k_is_v, parameters.config.layers[at].k_is_v);
    EXPECT_EQ(loaded->config.layers[at].n_ff, parameters.config.layers[at].n_ff);
  }
}

TEST_P(ModelFile, GivesTheLogitsOfTheEngine) {
  const Parameters parameters = some_parameters(variant_.config);
  const auto model = saved(parameters, path_, TensorType::F32);
  ASSERT_NE(model, nullptr);
  constexpr int64_t kLength = 40;  // several windows
  std::vector<Token> tokens;
  Random random(8);
  for (int64_t i = 0; i < kLength; ++i)
    tokens.push_back(static_cast<Token>(random.below(parameters.config.n_vocab)));

  const Network network(parameters, kLength);
  Activations activations(parameters.config, 1, kLength, false);
  network.forward(parameters.values.data(), {1, kLength, tokens}, activations);
  const int64_t n_vocab = parameters.config.n_vocab;
  std::vector<float> ours(static_cast<size_t>(kLength * n_vocab)), engines(ours.size());
  head_logits(network.head(parameters.values.data(), activations), 0, kLength, ours.data());

  CpuOptions cpu;
  cpu.precision = Precision::exact;
  const auto backend = make_cpu_backend(cpu).take();
  Forward forward = Forward::create(model, *backend).take();
  KvCache cache = KvCache::create(model->config, {kLength, kLength, TensorType::F32}, *backend).take();
  const Chunk chunk{&cache, tokens};
  const std::span<const float> hidden = forward.run({&chunk, 1}, Rows::all);
  forward.logits(hidden, kLength, engines.data());

  double worst = 0, size = 0;
  for (size_t i = 0; i < ours.size(); ++i) {
    if (std::isinf(ours[i]) && ours[i] == engines[i]) continue;  // suppressed
    worst = std::max(worst, std::abs(static_cast<double>(ours[i] - engines[i])));
    size = std::max(size, std::abs(static_cast<double>(ours[i])));
  }
  EXPECT_GT(size, 1);
  EXPECT_LT(worst, 2e-5 * size);
}

INSTANTIATE_TEST_SUITE_P(Variants, ModelFile, testing::Range<size_t>(0, toy::variants().size()),
                         [](const auto& variant) {
                           return std::string(toy::variants()[variant.param].name);
                         });

TEST(ModelFileTypes, QuantizedMatricesAndFloatGains) {
  Config config = toy::tiny();
  const Parameters parameters = some_parameters(config);
  const std::string path = temporary_path("types");
  const auto model = saved(parameters, path, TensorType::Q4_0);
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(model->weights.token_embedding.type, TensorType::Q4_0);
  EXPECT_EQ(model->weights.layers[0].q.type, TensorType::Q4_0);
  EXPECT_EQ(model->weights.layers[0].attn_norm.type, TensorType::F32);
  EXPECT_EQ(model->weights.per_layer_model_proj.type, TensorType::BF16);  // no recipe quantizes it
  ThreadPool pool(1);
  const auto loaded = load_parameters(*model, pool);
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(model->file.metadata.integer("general.quantization_version", 0, 9).take(), 2);
  EXPECT_TRUE(model->file.metadata.contains("general.file_type"));
  const Parameter& q = *parameters.find("blk.0.attn_q.weight");
  std::vector<float> wanted(static_cast<size_t>(q.size));
  decode_tensor(*model->file.find(q.name), wanted.data(), pool);
  EXPECT_TRUE(std::equal(wanted.begin(), wanted.end(), loaded->of(q).begin()));
  EXPECT_NE(wanted[0], parameters.of(q)[0]);
  std::filesystem::remove(path);
}

// A lattice projection survives its own BF16 file and the quantizer: what was trained is what is shipped.
TEST(ModelFileTypes, ProjectedWeightsKeepTheirCodesThroughBf16) {
  const std::string path = temporary_path("lattice");
  ThreadPool pool(1);
  for (const TensorType type : {TensorType::Q4_0, TensorType::Q4_1, TensorType::Q5_0, TensorType::Q8_0}) {
    Parameters parameters = some_parameters(toy::tiny());
    const TypePlan plan = plan_types(parameters, type, {}).take();
    const Projection projection = project(parameters, plan, pool);
    const auto model = saved(parameters, path, TensorType::BF16);
    ASSERT_NE(model, nullptr);
    const Parameters loaded = load_parameters(*model, pool).take();
    const Parameter& down = *parameters.find("blk.0.ffn_down.weight");
    const auto codes = [&](const Parameters& from) {
      std::vector<std::byte> blocks(
          static_cast<size_t>(row_bytes(type, down.n_columns()) * static_cast<uint64_t>(down.n_rows())));
      encode_tensor(type, from.of(down).data(), down.n_columns(), down.n_rows(), nullptr, blocks.data(),
                    pool);
      return blocks;
    };
    EXPECT_TRUE(std::ranges::equal(parameters.of(down), loaded.of(down))) << type_name(type);
    EXPECT_EQ(codes(parameters), codes(loaded)) << type_name(type);
    EXPECT_LE(projection.n_unsettled_rows * 20, projection.n_rows) << type_name(type);
  }
  std::filesystem::remove(path);
}

// Scales are rounded until BF16 holds scale times code: whoever encodes the 16-bit file has its own numbers again.
TEST(ModelFileTypes, ProjectionLosesNothingInBf16WhereItCan) {
  ThreadPool pool(1);
  Config config = toy::tiny();
  config.dim = 256;  // a block of every format
  for (const TensorType type : {TensorType::Q4_0, TensorType::TQ1_0, TensorType::TQ2_0, TensorType::Q1_0, TensorType::Q2_0})
    for (const float size : {1.0f, 1e-3f, 1e5f}) {  // F16 scales: normal numbers, subnormal ones, large ones
      SCOPED_TRACE(type_name(type));
      SCOPED_TRACE(size);
      Parameters parameters = some_parameters(config);
      for (float& v : parameters.values.span()) v *= size;
      const TypePlan plan = plan_types(parameters, type, {}).take();
      project(parameters, plan, pool);
      const Parameter& gate = *parameters.find("blk.0.ffn_gate.weight");
      const auto values = parameters.of(gate);
      std::vector<std::byte> blocks(row_bytes(type, gate.size));
      encode_tensor(type, values.data(), gate.n_columns(), gate.n_rows(), nullptr, blocks.data(), pool);
      std::vector<float> back(values.size());
      codec_of(type).decode(blocks.data(), gate.size, back.data());
      EXPECT_TRUE(std::ranges::equal(values, back));
      EXPECT_TRUE(std::ranges::any_of(values, [](float v) { return v != 0; }));
    }
}

TEST(ModelFileTypes, JoinsSeparateExpertStacks) {
  const Parameters parameters = some_parameters(toy::variants()[2].config);
  const std::string path = temporary_path("experts");
  const auto model = saved(parameters, path, TensorType::F32);
  ASSERT_NE(model, nullptr);
  std::vector<gguf::TensorToWrite> tensors;
  for (const Tensor& tensor : model->file.tensors) {
    if (!tensor.name.ends_with("ffn_gate_up_exps.weight")) {
      tensors.push_back(gguf::existing(tensor));
      continue;
    }
    const std::string prefix(tensor.name.substr(0, tensor.name.find("ffn_gate_up")));
    const Shape shape{tensor.shape[0], tensor.shape[1] / 2, tensor.shape[2], 1};
    const int64_t half = shape[0] * shape[1];
    for (const int which : {0, 1}) {
      std::vector<float> values;
      for (int64_t e = 0; e < shape[2]; ++e) {
        const float* from = tensor.f32() + (2 * e + which) * half;
        values.insert(values.end(), from, from + half);
      }
      tensors.push_back(gguf::owned_f32(prefix + (which == 0 ? "ffn_gate_exps.weight" : "ffn_up_exps.weight"),
                                        shape, values));
    }
  }
  const std::string split = temporary_path("experts_split");
  ASSERT_TRUE(gguf::write(split, model->file.metadata, tensors).has_value());
  ThreadPool pool(1);
  const auto reopened = open_model(split);
  ASSERT_TRUE(reopened.has_value()) << reopened.error().message;
  const auto loaded = load_parameters(**reopened, pool);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  EXPECT_EQ(
      std::memcmp(loaded->values.data(), parameters.values.data(), parameters.values.size() * sizeof(float)),
      0);
  std::filesystem::remove(path);
  std::filesystem::remove(split);
}

// Without divisors only the first quarter of a full layer's pairs turns, as in the engine (model/rope.h).
TEST(ModelFileTypes, AbsentDivisorsAreThoseOfTheEngine) {
  const Parameters parameters = some_parameters(toy::variants()[0].config);
  const std::string path = temporary_path("divisors"), without = temporary_path("no_divisors");
  const auto model = saved(parameters, path, TensorType::F32);
  ASSERT_NE(model, nullptr);
  std::vector<gguf::TensorToWrite> tensors;
  for (const Tensor& tensor : model->file.tensors)
    if (tensor.name != kRopeDivisors) tensors.push_back(gguf::existing(tensor));
  ASSERT_LT(tensors.size(), model->file.tensors.size());
  ASSERT_TRUE(gguf::write(without, model->file.metadata, tensors).has_value());
  ThreadPool pool(1);
  const auto reopened = open_model(without);
  ASSERT_TRUE(reopened.has_value()) << reopened.error().message;
  const auto loaded = load_parameters(**reopened, pool);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  const auto divisors = loaded->of(*loaded->find(kRopeDivisors));
  for (size_t i = 0; i < divisors.size(); ++i) EXPECT_EQ(divisors[i], i < divisors.size() / 4 ? 1.0f : 1e30f) << i;
  std::filesystem::remove(path);
  std::filesystem::remove(without);
}

// Factors that a file has beside its matrices are part of the parameters: one for a matrix, one for each expert.
TEST(ModelFileTypes, ScalesOfMatricesAreMultipliedIn) {
  const Parameters parameters = some_parameters(toy::variants()[2].config);
  const std::string path = temporary_path("plain"), scaled = temporary_path("scaled");
  const auto model = saved(parameters, path, TensorType::F32);
  ASSERT_NE(model, nullptr);
  std::vector<gguf::TensorToWrite> tensors;
  for (const Tensor& tensor : model->file.tensors) tensors.push_back(gguf::existing(tensor));
  const int64_t n_experts = model->config.n_experts;
  std::vector<float> factors(static_cast<size_t>(n_experts), 2.0f);
  factors.back() = 0.5f;
  tensors.push_back(gguf::owned_f32("blk.0.attn_q.scale", {1, 1, 1, 1}, std::vector<float>{4}));
  tensors.push_back(gguf::owned_f32("blk.0.ffn_gate_up_exps.scale", {n_experts, 1, 1, 1}, factors));
  ASSERT_TRUE(gguf::write(scaled, model->file.metadata, tensors).has_value());
  ThreadPool pool(1);
  const auto reopened = open_model(scaled);
  ASSERT_TRUE(reopened.has_value()) << reopened.error().message;
  const auto loaded = load_parameters(**reopened, pool);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  for (const Parameter& p : loaded->list) {
    const auto values = loaded->of(p), plain = parameters.of(p);
    const size_t n_each = values.size() / static_cast<size_t>(n_experts);
    for (size_t i = 0; i < values.size(); ++i) {
      const float factor = p.name == "blk.0.attn_q.weight"               ? 4
                           : p.name == "blk.0.ffn_gate_up_exps.weight" ? factors[i / n_each]
                                                                       : 1;
      ASSERT_EQ(values[i], factor * plain[i]) << p.name << ", " << i;
    }
  }
  std::filesystem::remove(path);
  std::filesystem::remove(scaled);
}

}  // namespace
}  // namespace carat::train
