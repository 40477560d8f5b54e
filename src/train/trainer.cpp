// The training loop: draw, gradient, update, report, checkpoint.
#include "train/trainer.h"

#include <chrono>
#include <cmath>
#include <filesystem>

#include "train/batch_gradient.h"
#include "train/blas.h"
#include "train/checkpoint.h"
#include "train/optimizer.h"

namespace carat::train {
namespace {

constexpr uint64_t kHeldOutStream = 0x68656c646f757400u;  // no step has this seed

uint64_t seed_of_step(uint64_t seed, int64_t step) {
  return mix64(mix64(seed) + static_cast<uint64_t>(step));
}

uint64_t hash_of(std::span<const float> values) {
  uint64_t hash = values.size();
  for (const float value : values) hash = mix64(hash ^ std::bit_cast<uint32_t>(value));
  return hash;
}

double ratio(double a, double b) { return b > 0 ? a / b : 0; }

Score score_of(const LossSums& sums) {
  Score score;
  score.cross_entropy = ratio(sums.cross_entropy, sums.weight);
  score.divergence = ratio(sums.divergence, sums.weight);
  score.answer_loss = ratio(sums.answer_loss, static_cast<double>(sums.n_answer_tokens));
  score.answer_accuracy =
      ratio(static_cast<double>(sums.n_answer_tokens_right), static_cast<double>(sums.n_answer_tokens));
  score.answers_right = ratio(static_cast<double>(sums.n_answers_right), static_cast<double>(sums.n_answers));
  score.n_answers = sums.n_answers;
  return score;
}

int64_t rows_per_step(const Options& options) {
  return std::max<int64_t>(1, options.batch_tokens / options.row_length);
}

int64_t steps_of(const Options& options) {
  const int64_t per_step = rows_per_step(options) * options.row_length;
  return (options.n_tokens + per_step - 1) / per_step;
}

Result<void> check(const Options& o, const Parameters& parameters, const Parameters* parent) {
  if (o.n_tokens < 0) return fail("training: n_tokens is {}, expected 0 or more", o.n_tokens);
  if (o.row_length < 1 || o.row_length > parameters.config.context_length)
    return fail("training: row length {} is not between 1 and the context length {}", o.row_length,
                parameters.config.context_length);
  if (o.n_threads < 1) return fail("training: {} threads", o.n_threads);
  if (!(o.learning_rate > 0) || !std::isfinite(o.learning_rate))
    return fail("training: learning rate {} is not a positive number", o.learning_rate);
  if (!(o.distill_weight >= 0 && o.distill_weight <= 1))
    return fail("training: distill weight {} is not between 0 and 1", o.distill_weight);
  if (o.distill_weight > 0 && parent == nullptr) return fail("training: a distill weight needs a parent");
  if (parent != nullptr && parent->config.n_vocab != parameters.config.n_vocab)
    return fail("training: the parent has {} tokens, the student {}", parent->config.n_vocab,
                parameters.config.n_vocab);
  if (o.report_every_steps < 1 || (o.n_held_out_rows > 0 && o.held_out_every_steps < 1))
    return fail(
        "training: reports are wanted every {} steps and held-out scores every {}, expected 1 or more",
        o.report_every_steps, o.held_out_every_steps);
  return {};
}

// What must agree for a checkpoint to go on, a line each. The start weights stand for the model, the source's name and
// its first row for the source.
Result<std::string> identity_of(const Parameters& start, const Parameters* parent, const RowSource& source,
                                const Options& o) {
  const Row row =
      TRY(draw_row(source, {seed_of_step(o.seed, 0), rows_per_step(o), 0.0}, 0, o, start.config.n_vocab));
  uint64_t row_hash = hash_of(row.weights);
  for (const Token token : row.tokens) row_hash = mix64(row_hash ^ static_cast<uint64_t>(token));
  std::string text = fmt::format(
      "seed {}\ntokens {}\nbatch tokens {}\nrow length {}\nlearning rate {}\nflat fraction {}\nfinal "
      "fraction {}\n"
      "warm-up steps {}\nbetas {} {}\nepsilon {}\nweight decay {}\nclip norm {}\ndistill weight {}\n",
      o.seed, o.n_tokens, o.batch_tokens, o.row_length, o.learning_rate, o.flat_fraction, o.final_fraction,
      o.warmup_steps, o.beta1, o.beta2, o.epsilon, o.weight_decay, o.clip_norm, o.distill_weight);
  if (!o.source_name.empty()) text += fmt::format("rows from {}\n", o.source_name);
  text += fmt::format("fake quantization {}\n", o.fake_quant ? type_name(*o.fake_quant) : "none");
  for (const auto& [pattern, type] : o.fake_quant_overrides)
    text += fmt::format("fake quantization of {} {}\n", pattern, type_name(type));
  for (const Parameter& p : start.list) text += fmt::format("tensor {} {}\n", p.name, to_string(p.shape));
  text += fmt::format("start weights {:016x}\nparent weights {:016x}\nfirst row {:016x}\n",
                      hash_of(start.values.span()), parent == nullptr ? 0 : hash_of(parent->values.span()),
                      row_hash);
  return text;
}

class Run {
 public:
  Run(Parameters& parameters, const Parameters* parent, const RowSource& source, const Options& options,
      const std::function<void(const LossPoint&)>& on_point)
      : parameters_(parameters),
        options_(options),
        on_point_(on_point),
        pool_(options.n_threads),
        batch_(parameters, parent, source, options, pool_),
        optimizer_(parameters, options),
        n_steps_(steps_of(options)),
        n_rows_(rows_per_step(options)) {}

  Result<TrainResult> run(const std::string& identity) {
    TRY(prepare(identity));
    while (progressed_.n_steps < n_steps_) {
      if (interrupted()) return stop();
      TRY(step());
      if (is_report_due()) TRY(report());
      if (seconds_since(last_checkpoint_) >= options_.checkpoint_every_seconds) TRY(checkpoint());
    }
    progressed_.seconds = seconds_now();
    TRY(checkpoint());
    TrainResult result;
    result.curve = progressed_.curve;
    result.n_steps = n_steps_;
    result.n_tokens = n_steps_ * n_rows_ * options_.row_length;
    result.seconds = progressed_.seconds;
    if (options_.fake_quant) result.projection = project(parameters_, plan_, pool_);
    return result;
  }

 private:
  using Clock = std::chrono::steady_clock;

  static double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }
  double seconds_now() const { return seconds_before_ + seconds_since(start_); }

  Result<void> prepare(const std::string& identity) {
    identity_ = identity;
    if (options_.fake_quant) {
      plan_ = TRY(plan_types(parameters_, *options_.fake_quant, options_.fake_quant_overrides));
      used_ = AlignedArray<float>(parameters_.values.size());
    }
    if (!options_.checkpoint_path.empty() && std::filesystem::exists(options_.checkpoint_path))
      progressed_ = TRY(load_checkpoint(options_.checkpoint_path, identity_, parameters_, optimizer_));
    seconds_before_ = progressed_.seconds;
    start_ = last_checkpoint_ = Clock::now();
    return {};
  }

  const float* used_weights() {
    if (!options_.fake_quant) return parameters_.values.data();
    fake_quantize(parameters_, plan_, used_, pool_);
    return used_.data();
  }

  Result<void> step() {
    const int64_t step = progressed_.n_steps;
    const double progress = static_cast<double>(step) / static_cast<double>(n_steps_);
    const LossSums sums =
        TRY(batch_.run(used_weights(), {seed_of_step(options_.seed, step), n_rows_, progress}, true));
    if (!std::isfinite(sums.loss))
      return fail("training diverged at step {}: the loss is {}; a lower learning rate may help", step,
                  sums.loss);
    const float scale = sums.weight > 0 ? static_cast<float>(1 / sums.weight) : 0;
    const double norm = optimizer_.collect(batch_.lanes(), scale, pool_);
    if (!std::isfinite(norm))
      return fail("training diverged at step {}: the gradient's norm is {}", step, norm);
    learning_rate_ = options_.learning_rate * schedule(options_, step, n_steps_);
    optimizer_.step(parameters_, learning_rate_, step + 1, pool_);
    progressed_.since_point.add(sums);
    progressed_.norms_since_point += norm;
    ++progressed_.n_steps_since_point;
    ++progressed_.n_steps;
    return {};
  }

  bool is_held_out_due() const {
    const bool last = progressed_.n_steps == n_steps_;
    return options_.n_held_out_rows > 0 && (last || progressed_.n_steps % options_.held_out_every_steps == 0);
  }
  bool is_report_due() const {
    return progressed_.n_steps == n_steps_ || progressed_.n_steps % options_.report_every_steps == 0 ||
           is_held_out_due();
  }

  Result<void> report() {
    LossPoint point;
    point.step = progressed_.n_steps;
    point.n_tokens = progressed_.n_steps * n_rows_ * options_.row_length;
    point.loss = ratio(progressed_.since_point.loss, progressed_.since_point.weight);
    point.score = score_of(progressed_.since_point);
    point.gradient_norm =
        ratio(progressed_.norms_since_point, static_cast<double>(progressed_.n_steps_since_point));
    point.learning_rate = learning_rate_;
    point.seconds = seconds_now();
    if (is_held_out_due()) {
      const LossSums sums = TRY(
          batch_.run(used_weights(), {options_.seed ^ kHeldOutStream, options_.n_held_out_rows, 1.0}, false));
      point.held_out = score_of(sums);
    }
    progressed_.since_point = {};
    progressed_.norms_since_point = 0;
    progressed_.n_steps_since_point = 0;
    progressed_.curve.push_back(point);
    if (on_point_) on_point_(point);
    return {};
  }

  Result<void> checkpoint() {
    last_checkpoint_ = Clock::now();
    if (options_.checkpoint_path.empty()) return {};
    progressed_.seconds = seconds_now();
    return save_checkpoint(options_.checkpoint_path, identity_, parameters_, optimizer_, progressed_);
  }

  Result<TrainResult> stop() {
    TRY(checkpoint());
    const std::string where = fmt::format("interrupted after step {} of {}", progressed_.n_steps, n_steps_);
    if (options_.checkpoint_path.empty()) return fail("{}; no checkpoint was asked for", where);
    return fail("{}; the same command goes on from {}", where, options_.checkpoint_path);
  }

  Parameters& parameters_;
  const Options& options_;
  const std::function<void(const LossPoint&)>& on_point_;
  ThreadPool pool_;
  BatchGradient batch_;
  Optimizer optimizer_;
  const int64_t n_steps_, n_rows_;
  std::string identity_;
  TypePlan plan_;
  AlignedArray<float> used_;
  Progressed progressed_;
  double seconds_before_ = 0;
  Clock::time_point start_, last_checkpoint_;
  double learning_rate_ = 0;
};

}  // namespace

Result<TrainResult> train(Parameters& parameters, const Parameters* parent, const RowSource& source,
                          const Options& options, const std::function<void(const LossPoint&)>& on_point) {
  TRY(check(options, parameters, parent));
  TRY(load_blas());
  const std::string identity = TRY(identity_of(parameters, parent, source, options));
  return Run(parameters, parent, source, options, on_point).run(identity);
}

Result<Score> evaluate(const Parameters& parameters, const Parameters* parent, const RowSource& source,
                       int64_t n_rows, const Options& options) {
  TRY(check(options, parameters, parent));
  TRY(load_blas());
  ThreadPool pool(options.n_threads);
  BatchGradient batch(parameters, parent, source, options, pool);
  const LossSums sums =
      TRY(batch.run(parameters.values.data(), {options.seed ^ kHeldOutStream, n_rows, 1.0}, false));
  return score_of(sums);
}

namespace {

std::string score_json(const Score& s) {
  return fmt::format(
      R"("cross_entropy":{:.6g},"divergence":{:.6g},"answer_loss":{:.6g},"answer_accuracy":{:.6g},"answers_right":{:.6g},"n_answers":{})",
      s.cross_entropy, s.divergence, s.answer_loss, s.answer_accuracy, s.answers_right, s.n_answers);
}

}  // namespace

std::string to_json(const LossPoint& p) {
  std::string text = fmt::format(
      R"({{"step":{},"n_tokens":{},"loss":{:.6g},{},"gradient_norm":{:.6g},"learning_rate":{:.6g},"seconds":{:.1f})",
      p.step, p.n_tokens, p.loss, score_json(p.score), p.gradient_norm, p.learning_rate, p.seconds);
  if (p.held_out) text += fmt::format(R"(,"held_out":{{{}}})", score_json(*p.held_out));
  return text + "}";
}

}  // namespace carat::train
