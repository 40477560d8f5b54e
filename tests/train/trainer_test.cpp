// Training as a whole: it learns, its bits do not depend on threads, it goes on after an interruption as if
// there had been none, and quantization-aware weights end on their lattice.
#include "train/trainer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "quant/codec.h"
#include "train/batch_gradient.h"
#include "train/checkpoint.h"
#include "train/optimizer.h"
#include "train/toy.h"

namespace carat::train {
namespace toy {

std::vector<Variant> variants() {
  LayerConfig sliding;
  sliding.sliding = true;
  sliding.head_dim = 8;
  sliding.n_heads = 4;
  sliding.n_kv_heads = 2;
  sliding.n_ff = 20;
  sliding.window = 5;
  LayerConfig full = sliding;
  full.sliding = false;
  full.window = 0;
  full.head_dim = 16;
  full.n_kv_heads = 1;
  full.rope_theta = 1e6;
  Config base;
  base.dim = 24;
  base.n_vocab = 29;
  base.context_length = 64;

  Config shared = base;
  shared.per_layer_dim = 6;
  shared.layers = make_layers("SSF", 6, 3, sliding, full);
  for (size_t i = 3; i < 6; ++i) shared.layers[i].n_ff = 40;

  Config dense = base;
  full.k_is_v = true;
  dense.layers = make_layers("SF", 4, 0, sliding, full);

  Config experts = base;
  experts.n_experts = 5;
  experts.n_experts_used = 2;
  experts.n_expert_ff = 12;
  experts.layers = make_layers("SF", 2, 0, sliding, full);
  return {{"SharedKv", shared}, {"KIsV", dense}, {"Experts", experts}};
}

Config tiny() {
  Config config = variants()[0].config;
  config.dim = 32;
  config.n_vocab = 32;
  config.per_layer_dim = 32;
  LayerConfig sliding = config.layers[0], full = config.layers[2];
  sliding.n_ff = full.n_ff = 64;
  sliding.window = 16;
  sliding.head_dim = full.head_dim = 16;
  sliding.n_heads = full.n_heads = 2;
  sliding.n_kv_heads = full.n_kv_heads = 2;
  config.layers = make_layers("SF", 2, 0, sliding, full);
  return config;
}

Row copy_row(Random& random, int64_t length) {
  Row row;
  row.weights.reserve(static_cast<size_t>(length));
  const auto put = [&](int64_t token, float weight) {
    row.tokens.push_back(static_cast<Token>(token));
    if (row.tokens.size() > 1) row.weights.push_back(weight);
  };
  while (row.tokens.size() <= static_cast<size_t>(length)) {
    const int64_t letters[3] = {4 + random.below(20), 4 + random.below(20), 4 + random.below(20)};
    put(1, 0.25f);
    for (const int64_t letter : letters) put(letter, 0.25f);
    put(2, 0.25f);
    for (const int64_t letter : letters) put(letter, 1);
  }
  row.tokens.resize(static_cast<size_t>(length) + 1);
  row.weights.resize(static_cast<size_t>(length));
  return row;
}

}  // namespace toy

namespace {

RowSource source_of(const Options& options) {
  return [length = options.row_length](Random& random, double) { return toy::copy_row(random, length); };
}

Options short_options() {
  Options options;
  options.n_tokens = 30 * 512;
  options.batch_tokens = 512;
  options.row_length = 32;
  options.learning_rate = 1e-2;
  options.warmup_steps = 10;
  options.report_every_steps = 10;
  return options;
}

Parameters fresh(const Config& config, uint64_t seed = 1) {
  Parameters parameters = make_parameters(config);
  initialize(parameters, seed);
  return parameters;
}

bool same_bits(const Parameters& a, const Parameters& b) {
  return std::memcmp(a.values.data(), b.values.data(), a.values.size() * sizeof(float)) == 0;
}

std::string temporary_path(const char* name) { return testing::TempDir() + "/carat_trainer_" + name; }

TEST(Trainer, LearnsToCopy) {
  Options options = short_options();
  options.n_tokens = 250 * 512;
  options.n_held_out_rows = 32;
  options.held_out_every_steps = 1000;
  Parameters parameters = fresh(toy::tiny());
  std::vector<LossPoint> seen;
  auto result =
      train(parameters, nullptr, source_of(options), options, [&](const LossPoint& p) { seen.push_back(p); });
  ASSERT_TRUE(result.has_value()) << result.error().message;
  ASSERT_EQ(seen.size(), 25u);
  ASSERT_EQ(result->curve.size(), seen.size());
  EXPECT_EQ(result->n_steps, 250);
  EXPECT_LT(seen.back().loss, 0.6 * seen.front().loss);
  ASSERT_TRUE(seen.back().held_out.has_value());
  EXPECT_FALSE(seen.front().held_out.has_value());
  EXPECT_GT(seen.back().held_out->answer_accuracy, 0.95);
  EXPECT_GT(seen.back().held_out->answers_right, 0.9);
  // Held-out rows do not depend on the run: scoring the trained weights gives the same number.
  auto score = evaluate(parameters, nullptr, source_of(options), 32, options);
  ASSERT_TRUE(score.has_value());
  EXPECT_EQ(score->cross_entropy, seen.back().held_out->cross_entropy);
  // The letters themselves cannot be predicted: 3 of 8 tokens cost at least ln 20 times their weight.
  EXPECT_GT(score->cross_entropy, 3 * 0.25 * std::log(20.0) / (5 * 0.25 + 3) * 0.9);
}

TEST(Trainer, ThreadsDoNotChangeABit) {
  Options options = short_options();
  options.fake_quant = TensorType::Q4_0;
  const Parameters parent = fresh(toy::tiny(), 9);
  options.distill_weight = 0.5;
  std::vector<Parameters> trained;
  for (const int n_threads : {1, 2, 3}) {
    options.n_threads = n_threads;
    trained.push_back(fresh(toy::tiny()));
    auto result = train(trained.back(), &parent, source_of(options), options);
    ASSERT_TRUE(result.has_value()) << result.error().message;
  }
  EXPECT_TRUE(same_bits(trained[0], trained[1]));
  EXPECT_TRUE(same_bits(trained[0], trained[2]));
  EXPECT_FALSE(same_bits(trained[0], fresh(toy::tiny())));
}

TEST(Trainer, DistillationApproachesTheParent) {
  Options options = short_options();
  options.n_tokens = 60 * 512;
  const Parameters parent = fresh(toy::tiny(), 9);
  options.distill_weight = 1;
  Parameters parameters = fresh(toy::tiny());
  auto result = train(parameters, &parent, source_of(options), options);
  ASSERT_TRUE(result.has_value()) << result.error().message;
  const auto& curve = result->curve;
  EXPECT_NEAR(curve.front().loss, curve.front().score.divergence, 1e-12);
  EXPECT_LT(curve.back().score.divergence, 0.5 * curve.front().score.divergence);
}

TEST(Trainer, GoesOnAfterAnInterruptionAsIfThereHadBeenNone) {
  Options options = short_options();
  Parameters whole = fresh(toy::tiny());
  auto uninterrupted = train(whole, nullptr, source_of(options), options);
  ASSERT_TRUE(uninterrupted.has_value());

  options.checkpoint_path = temporary_path("resume");
  std::filesystem::remove(options.checkpoint_path);
  Parameters parts = fresh(toy::tiny());
  // Stopped between two points of the curve: the row of step 24 raises the flag that the loop sees after the step.
  const RowSource rows = source_of(options);
  std::atomic<int> n_rows{0};
  const int n_before = 24 * static_cast<int>(options.batch_tokens / options.row_length);
  const RowSource stopping = [&](Random& random, double progress) {
    if (++n_rows > n_before) interrupt_requested = true;
    return rows(random, progress);
  };
  auto first = train(parts, nullptr, stopping, options);
  interrupt_requested = false;
  ASSERT_FALSE(first.has_value());
  EXPECT_NE(first.error().message.find("interrupted after step 24 of 30"), std::string::npos)
      << first.error().message;

  parts = fresh(toy::tiny());
  auto second = train(parts, nullptr, source_of(options), options);
  ASSERT_TRUE(second.has_value()) << second.error().message;
  EXPECT_TRUE(same_bits(whole, parts));
  ASSERT_EQ(second->curve.size(), uninterrupted->curve.size());
  for (size_t i = 0; i < second->curve.size(); ++i) {
    const LossPoint &a = second->curve[i], &b = uninterrupted->curve[i];
    EXPECT_EQ(a.loss, b.loss) << i;
    EXPECT_EQ(a.score.answer_loss, b.score.answer_loss) << i;
    EXPECT_EQ(a.score.n_answers, b.score.n_answers) << i;
    EXPECT_EQ(a.gradient_norm, b.gradient_norm) << i;
  }

  // Another training does not go on from it, and says which setting differs.
  options.source_name = "elsewhere";
  parts = fresh(toy::tiny());
  EXPECT_FALSE(train(parts, nullptr, source_of(options), options).has_value());
  options.source_name.clear();
  options.learning_rate = 2e-2;
  parts = fresh(toy::tiny());
  auto other = train(parts, nullptr, source_of(options), options);
  ASSERT_FALSE(other.has_value());
  EXPECT_NE(other.error().message.find("'learning rate 0.01', this run has 'learning rate 0.02'"),
            std::string::npos)
      << other.error().message;
  EXPECT_TRUE(same_bits(parts, fresh(toy::tiny())));
  std::filesystem::remove(options.checkpoint_path);
}

TEST(Trainer, CheckpointsAreCheckedByteByByte) {
  const Options options = short_options();
  Parameters parameters = fresh(toy::variants()[1].config);
  Optimizer optimizer(parameters, options);
  const std::string path = temporary_path("checkpoint");
  Progressed progressed;
  progressed.n_steps = 5;
  progressed.curve.resize(2);
  progressed.curve[1].held_out = Score{1, 2, 3, 4, 5, 6};
  ASSERT_TRUE(save_checkpoint(path, "seed 1\n", parameters, optimizer, progressed).has_value());
  const std::string content = read_file(path).take();
  auto good = load_checkpoint(path, "seed 1\n", parameters, optimizer);
  ASSERT_TRUE(good.has_value()) << good.error().message;
  EXPECT_EQ(good->n_steps, 5);
  EXPECT_EQ(good->curve[1].held_out->n_answers, 6);

  const auto fails = [&](const std::string& bytes) {
    auto result = parse_checkpoint(std::as_bytes(std::span(bytes)), "x", "seed 1\n", parameters, optimizer);
    return result.has_value() ? std::string() : result.error().message;
  };
  for (size_t n = 0; n < content.size(); n += n < 400 ? 1 : 97)
    ASSERT_NE(fails(content.substr(0, n)), "") << "prefix of " << n << " bytes";
  for (size_t at = 0; at < content.size(); at += at < 400 ? 1 : 1999) {
    std::string damaged = content;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    ASSERT_NE(fails(damaged), "") << "byte " << at;
  }
  EXPECT_NE(fails(content + "x").find("too many"), std::string::npos);
  EXPECT_NE(fails("GGUFGGUF" + content.substr(8)).find("not a training checkpoint"), std::string::npos);
  std::filesystem::remove(path);
}

TEST(Trainer, QuantizationAwareWeightsEndOnTheirLattice) {
  Options options = short_options();
  options.fake_quant = TensorType::Q4_0;
  options.fake_quant_overrides = {{"token_embd", TensorType::Q8_0}};
  Parameters parameters = fresh(toy::tiny());
  auto result = train(parameters, nullptr, source_of(options), options);
  ASSERT_TRUE(result.has_value()) << result.error().message;
  EXPECT_GT(result->projection.n_rows, 0);
  EXPECT_EQ(result->projection.n_unsettled_rows, 0);
  for (const Parameter& p : parameters.list) {
    if (!p.is_matrix() || p.name == "per_layer_model_proj.weight") continue;
    const bool is_table = p.name == "token_embd.weight" || p.name == "per_layer_token_embd.weight";
    const Codec& codec = codec_of(is_table ? TensorType::Q8_0 : TensorType::Q4_0);
    double error = 0, size = 0;
    std::vector<std::byte> blocks(static_cast<size_t>(row_bytes(codec.type, p.n_columns())));
    std::vector<float> back(static_cast<size_t>(p.n_columns()));
    for (int64_t row = 0; row < p.n_rows(); ++row) {
      const float* values = parameters.of(p).data() + row * p.n_columns();
      codec.encode(values, p.n_columns(), nullptr, blocks.data());
      codec.decode(blocks.data(), p.n_columns(), back.data());
      for (size_t i = 0; i < back.size(); ++i) {
        error += std::pow(static_cast<double>(values[i] - back[i]), 2);
        size += std::pow(static_cast<double>(values[i]), 2);
      }
    }
    EXPECT_LT(std::sqrt(error / size), 3e-3) << p.name;  // BF16's rounding; off the lattice Q4_0 leaves 8e-2
  }
}

TEST(Trainer, ReportsWhatMakesNoSense) {
  Options options = short_options();
  Parameters parameters = fresh(toy::tiny());
  const auto error_of = [&](const RowSource& source) {
    auto result = train(parameters, nullptr, source, options);
    return result.has_value() ? std::string("no error") : result.error().message;
  };
  EXPECT_NE(error_of([](Random&, double) {
              return Row{{1, 2}, {1}};
            }).find("expected 33 tokens"),
            std::string::npos);
  EXPECT_NE(error_of([](Random&, double) {
              return Row{std::vector<Token>(33, 99), std::vector<float>(32)};
            }).find("token 99 is outside"),
            std::string::npos);
  EXPECT_NE(error_of([](Random&, double) {
              return Row{std::vector<Token>(33), std::vector<float>(32, -1)};
            }).find("loss weight -1"),
            std::string::npos);
  options.distill_weight = 0.5;
  EXPECT_NE(error_of(source_of(options)).find("needs a parent"), std::string::npos);
  options.distill_weight = 0;
  options.row_length = 65;
  EXPECT_NE(error_of(source_of(options)).find("context length 64"), std::string::npos);
  options = short_options();
  options.fake_quant = TensorType::I8;
  EXPECT_NE(error_of(source_of(options)).find("no encoder for the type I8"), std::string::npos);
  options = short_options();
  options.fake_quant = TensorType::Q4_0;
  options.fake_quant_overrides = {{"(", TensorType::Q8_0}};
  EXPECT_NE(error_of(source_of(options)).find("not a regular expression"), std::string::npos);
}

TEST(Trainer, ReportsDivergence) {
  Options options = short_options();
  options.learning_rate = 1e30;
  Parameters parameters = fresh(toy::tiny());
  auto result = train(parameters, nullptr, source_of(options), options);
  ASSERT_FALSE(result.has_value());
  EXPECT_NE(result.error().message.find("diverged"), std::string::npos);
}

TEST(Schedule, WarmsUpStaysFlatAndComesDown) {
  Options options;
  options.warmup_steps = 100;
  options.flat_fraction = 0.5;
  options.final_fraction = 0.02;
  EXPECT_DOUBLE_EQ(schedule(options, 0, 1000), 0.01);
  EXPECT_DOUBLE_EQ(schedule(options, 49, 1000), 0.5);
  EXPECT_DOUBLE_EQ(schedule(options, 300, 1000), 1);
  EXPECT_NEAR(schedule(options, 750, 1000), 0.51, 1e-9);
  EXPECT_NEAR(schedule(options, 999, 1000), 0.02, 1e-4);
}

TEST(Optimizer, FirstStepMovesEveryWeightByTheLearningRate) {
  Options options;
  options.weight_decay = 0.1;
  options.clip_norm = 0;
  Parameters parameters = fresh(toy::tiny());
  const Parameters before = parameters.clone();
  Optimizer optimizer(parameters, options);
  ThreadPool pool(1);
  std::vector<float> lane_1(parameters.values.size(), 1.0f), lane_2(parameters.values.size(), 2.0f);
  const float* lanes[] = {lane_1.data(), lane_2.data()};
  const double norm = optimizer.collect(lanes, 0.5f, pool);
  EXPECT_NEAR(norm, 1.5 * std::sqrt(static_cast<double>(parameters.n_weights())), 1e-3 * norm);
  optimizer.step(parameters, 1e-3, 1, pool);
  for (const Parameter& p : parameters.list) {
    const float was = before.of(p)[0], is = parameters.of(p)[0];
    const bool decays = p.role == TensorRole::matrix;
    const float wanted = !p.trainable ? was : was - 1e-3f - (decays ? 1e-4f * was : 0);
    EXPECT_NEAR(is, wanted, 2e-7) << p.name;
  }
}

TEST(Optimizer, ClipsTheGlobalNorm) {
  Options options;
  options.clip_norm = 1;
  options.beta1 = 0;
  Parameters parameters = fresh(toy::tiny());
  Optimizer optimizer(parameters, options);
  ThreadPool pool(1);
  std::vector<float> lane(parameters.values.size(), 1.0f);
  const float* lanes[] = {lane.data()};
  const double norm = optimizer.collect(lanes, 1, pool);
  optimizer.step(parameters, 1e-3, 1, pool);
  EXPECT_NEAR(static_cast<double>(optimizer.moment1()[0]), 1 / norm, 1e-6);
}

TEST(LossPoint, IsOneLineOfJson) {
  LossPoint point;
  point.step = 3;
  point.loss = 1.25;
  EXPECT_EQ(
      to_json(point),
      R"({"step":3,"n_tokens":0,"loss":1.25,"cross_entropy":0,"divergence":0,"answer_loss":0,)"
      R"("answer_accuracy":0,"answers_right":0,"n_answers":0,"gradient_norm":0,"learning_rate":0,"seconds":0.0})");
  point.held_out = Score{};
  EXPECT_NE(to_json(point).find(R"("held_out":{"cross_entropy":0)"), std::string::npos);
}

}  // namespace
}  // namespace carat::train
