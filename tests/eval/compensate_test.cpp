// Whole models rounded with error compensation: the files load, and their outputs are nearer to the
// original's.
#include "eval/compensate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/file.h"
#include "eval/allocate.h"
#include "eval/small_models.h"
#include "quant/codec.h"

namespace carat {
namespace {

using enum TensorType;

struct Compensate : testing::Test {
  SmallModels models;
  std::string folder =
      (std::filesystem::temp_directory_path() / fmt::format("carat_compensate_{}", ::getpid())).string();
  void SetUp() override { std::filesystem::create_directories(folder); }
  void TearDown() override { std::filesystem::remove_all(folder); }

  std::shared_ptr<const Model> mixture() const {
    const SynthShape shape{
        .like = "26b-a4b", .n_layers = 6, .width_divisor = 22, .n_vocab = 600, .n_experts = 64};
    synthesize(shape, {.matrix_type = F16, .embedding_type = F16, .seed = 5}, folder + "/mix.gguf").take();
    return open_model(folder + "/mix.gguf").take();
  }
  static CalibrationText text(uint64_t seed, int64_t n = 512) {
    Random random(seed);
    CalibrationText result{"text", {}};
    for (int64_t i = 0; i < n; ++i) result.tokens.push_back(static_cast<Token>(random.below(600)));
    return result;
  }
  static std::vector<CompensatedTensor> compensated(const std::shared_ptr<const Model>& model,
                                                    const QuantizeOptions& options, bool sequential = false,
                                                    int n_threads = 1) {
    const CalibrationText calibration = text(1);
    CompensateOptions how;
    how.calibration = {.n_ctx = 128, .n_threads = n_threads};
    how.sequential = sequential;
    auto result = compensate(model, plan_types(model->file, options).take(), {&calibration, 1}, how);
    EXPECT_TRUE(result) << result.error().message;
    return result.take();
  }
  std::shared_ptr<const Model> written(const Model& model, const QuantizeOptions& options) const {
    const auto done = quantize(model.file, folder + "/out.gguf", options);
    EXPECT_TRUE(done) << done.error().message;
    auto opened = open_model(folder + "/out.gguf");
    EXPECT_TRUE(opened) << opened.error().message;
    return opened.take();
  }
};

// On a trained model and text of its language (`carat lab text -n 60 --seed 31`, 32): random models are chaotic, and what
// is left of small errors says nothing.
TEST_F(Compensate, OutputsAreNearer) {
  const std::string root = CARAT_SOURCE_DIR;
  const auto model = open_model(root + "/models/lab-s.gguf").take();
  const auto text_of = [&](const std::string& path) {
    return CalibrationText{path, model->tokenizer.encode(read_file(root + path).take(), {})};
  };
  const CalibrationText calibration = text_of("/tests/eval/text/lab_calibration.txt"),
                        other = text_of("/tests/eval/text/lab_held_out.txt");
  const CalibrationOptions some{.n_ctx = 128, .max_chunks = 12};
  for (const TensorType type : {Q4_0, NVFP4}) {
    SCOPED_TRACE(type_name(type));
    const QuantizeOptions options{.type = type};
    const double plain = mean_divergence(written(*model, options), model, {&other, 1}, some).take();
    for (const bool sequential : {true, false}) {
      CompensateOptions how;
      how.calibration = some;
      how.sequential = sequential;
      const auto tensors =
          compensate(model, plan_types(model->file, options).take(), {&calibration, 1}, how).take();
      EXPECT_GT(tensors.size(), 30u);
      for (const CompensatedTensor& tensor : tensors)
        EXPECT_LT(tensor.error.compensated, tensor.error.plain) << tensor.name;
      QuantizeOptions with = options;
      use(tensors, with);
      EXPECT_LT(mean_divergence(written(*model, with), model, {&other, 1}, some).take(), 0.85 * plain);
    }
  }
}

TEST_F(Compensate, Nvfp4HasScalesOfWholeMatrices) {
  const auto model = models.make(1);
  QuantizeOptions options{.type = NVFP4, .n_threads = 1};
  const auto tensors = compensated(model, options);
  use(tensors, options);
  const auto out = written(*model, options);
  int n_scales = 0;
  for (const CompensatedTensor& tensor : tensors) {
    if (tensor.type != NVFP4) continue;
    // llama.cpp knows none beside these.
    const bool has_none = !tensor.name.starts_with("blk.") ||
                          tensor.name.find(".inp_gate.") != std::string::npos ||
                          tensor.name.find(".proj.") != std::string::npos;
    EXPECT_EQ(tensor.scales.size(), has_none ? 0u : 1u) << tensor.name;
    if (tensor.scales.empty()) continue;
    ++n_scales;
    EXPECT_EQ(out->file.find(tensor.scale_name)->f32()[0], tensor.scales[0]);
  }
  EXPECT_GT(n_scales, 10);
}

// Each expert by its own inputs; those that no token chose as the encoder has them.
TEST_F(Compensate, Experts) {
  const auto model = mixture();
  QuantizeOptions options{.type = Q4_0, .n_threads = 1};
  const auto tensors = compensated(model, options);
  const auto down = std::ranges::find(tensors, "blk.0.ffn_down_exps.weight", &CompensatedTensor::name);
  ASSERT_NE(down, tensors.end());
  EXPECT_LT(down->error.compensated, down->error.plain);
  EXPECT_GT(down->error.plain, 0);
  use(tensors, options);
  written(*model, options);
}

TEST_F(Compensate, ThreadsDoNotMatter) {
  const auto model = models.make(3);
  const QuantizeOptions options{.type = Q4_0, .n_threads = 1};
  const auto one = compensated(model, options, true, 1), three = compensated(model, options, true, 3);
  ASSERT_EQ(one.size(), three.size());
  for (size_t i = 0; i < one.size(); ++i) EXPECT_EQ(one[i].blocks, three[i].blocks) << one[i].name;
}

// ---------------------------------------------------------------- types by sensitivity

std::vector<TensorChoices> made_up() {
  return {{"a", {{Q2_K, 10, 5.0}, {Q4_K, 20, 1.0}, {F16, 60, 0.0}}},
          {"b", {{Q2_K, 100, 2.0}, {Q4_K, 200, 0.4}, {F16, 600, 0.0}}}};
}

TEST(Allocate, TheBestStepsComeFirst) {
  const auto tensors = made_up();
  const auto types = [&](const Allocation& allocation) {
    std::string text;
    for (size_t i = 0; i < tensors.size(); ++i)
      text += std::string(type_name(tensors[i].choices[allocation.chosen[i]].type)) + " ";
    return text;
  };
  EXPECT_EQ(types(allocate_bytes(tensors, 0)), "Q2_K Q2_K ");
  EXPECT_EQ(types(allocate_bytes(tensors, 119)), "Q2_K Q2_K ");
  EXPECT_EQ(types(allocate_bytes(tensors, 120)), "Q4_K Q2_K ");
  EXPECT_EQ(types(allocate_bytes(tensors, 160)), "F16 Q2_K ");  // 0.025 a byte, before b's 0.016
  EXPECT_EQ(types(allocate_bytes(tensors, 260)), "F16 Q4_K ");
  EXPECT_EQ(types(allocate_bytes(tensors, 660)), "F16 F16 ");
  EXPECT_EQ(allocate_bytes(tensors, 260).bytes, 260u);
  EXPECT_NEAR(allocate_bytes(tensors, 260).divergence, 0.4, 1e-12);
  EXPECT_EQ(types(allocate_divergence(tensors, 10)), "Q2_K Q2_K ");
  EXPECT_EQ(types(allocate_divergence(tensors, 3)), "Q4_K Q2_K ");
  EXPECT_EQ(types(allocate_divergence(tensors, 0.5)), "F16 Q4_K ");
}

struct Sensitivity : Compensate {
  std::vector<TensorChoices> measured(const std::shared_ptr<const Model>& model,
                                      std::vector<std::string> fixed = {}) {
    const CalibrationText calibration = text(1, 128);
    auto result =
        measure_sensitivity(model, fixed, {&calibration, 1}, {{.n_ctx = 64, .n_threads = 1}, Q4_0, nullptr});
    EXPECT_TRUE(result) << result.error().message;
    return result.take();
  }
};

TEST_F(Sensitivity, ChoicesAreAConvexRow) {
  const auto model = models.make(1);
  for (const TensorChoices& tensor : measured(model, {"blk.0.attn_q.weight"})) {
    EXPECT_NE(tensor.name, "blk.0.attn_q.weight");
    const auto& c = tensor.choices;
    ASSERT_GE(c.size(), 3u) << tensor.name;
    EXPECT_EQ(c.back().type, F16);
    EXPECT_EQ(c.back().divergence, 0);
    double last = HUGE_VAL;
    for (size_t i = 0; i + 1 < c.size(); ++i) {
      const double slope =
          (c[i].divergence - c[i + 1].divergence) / static_cast<double>(c[i + 1].bytes - c[i].bytes);
      EXPECT_GT(slope, 0);
      EXPECT_LT(slope, last);
      last = slope;
    }
  }
}

// At the size of a pure file, the mix is nearer to the model.
TEST_F(Sensitivity, AMixBeatsOneType) {
  const auto model = models.make(1);
  const auto tensors = measured(model);
  const QuantizeOptions pure{.type = Q4_0, .n_threads = 1};
  const auto one_type = written(*model, pure);
  uint64_t bytes = 0;
  for (const TensorChoices& tensor : tensors) bytes += one_type->file.find(tensor.name)->n_bytes();
  const Allocation allocation = allocate_bytes(tensors, bytes);
  EXPECT_LE(allocation.bytes, bytes);
  QuantizeOptions options = pure;
  for (size_t i = 0; i < tensors.size(); ++i)
    options.assigned[tensors[i].name] = tensors[i].choices[allocation.chosen[i]].type;
  const CalibrationText other = text(7, 256);
  const CalibrationOptions how{.n_ctx = 64, .n_threads = 1};
  const double before = mean_divergence(one_type, model, {&other, 1}, how).take();
  const auto mixed = written(*model, options);
  for (size_t i = 0; i < tensors.size(); ++i)
    EXPECT_EQ(mixed->file.find(tensors[i].name)->type, options.assigned[tensors[i].name]);
  EXPECT_LT(mean_divergence(mixed, model, {&other, 1}, how).take(), 0.9 * before);
}

}  // namespace
}  // namespace carat
