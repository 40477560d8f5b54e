// See the header.
#include "train/tune.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <numbers>

#include "model/memory_budget.h"
#include "quant/codec.h"
#include "quant/grid.h"
#include "train/batch_gradient.h"
#include "train/blas.h"
#include "train/model_file.h"
#include "train/tuned_codes.h"

namespace carat::train {
namespace {

// Of each text, what only the judgement of the result sees.
constexpr double kKeptBack = 1.0 / 16;
constexpr int64_t kJudgedTokens = 1 << 14;
constexpr int64_t kWarmupSteps = 20;
constexpr double kBeta1 = 0.9, kBeta2 = 0.99;
constexpr float kEpsilon = 1e-12f;
constexpr float kTokenWeight = 0.5f;  // below 1: no answers are counted
constexpr uint64_t kJudgedStream = 0x6a756467656400u;

// A gain, or a vector of them, in units of their root mean square.
class TunedGains {
 public:
  TunedGains(const Tensor& tensor)
      : values_(tensor.f32(), tensor.f32() + tensor.n_elements()),
        moment1_(values_.size()),
        moment2_(values_.size()) {
    double squares = 0;
    for (const float v : values_) squares += static_cast<double>(v) * v;
    unit_ = static_cast<float>(std::sqrt(squares / static_cast<double>(values_.size())));
  }

  void step(AdamStep rate, const float* gradient) {
    rate.learning_rate *= unit_;
    vector_loops().adam(rate, 1.0f, gradient, static_cast<int64_t>(values_.size()), values_.data(),
                        moment1_.data(), moment2_.data());
  }

  std::span<const float> values() const { return values_; }

 private:
  float unit_ = 1;
  std::vector<float> values_, moment1_, moment2_;
};

// Pieces of the texts: those to learn from come from their beginnings, those to judge by from their ends.
class Pieces {
 public:
  static Result<Pieces> create(std::span<const std::vector<Token>> texts, Token bos, int64_t length) {
    Pieces pieces;
    pieces.length_ = static_cast<size_t>(length);
    for (const std::vector<Token>& text : texts) {
      const auto kept = static_cast<size_t>(static_cast<double>(text.size()) * kKeptBack);
      if (kept < pieces.length_ + 2) continue;
      pieces.texts_.push_back({text, text.size() - kept});
      pieces.n_ += text.size();
    }
    pieces.bos_ = bos;
    if (pieces.texts_.empty())
      return fail("tuning: no text has {} tokens, enough to keep a sixteenth of it back in pieces of {}",
                  16 * (length + 2), length);
    return pieces;
  }

  Row draw(Random& random, bool judged) const {
    const Text* text = &texts_.front();
    auto at = static_cast<size_t>(random.below(static_cast<int64_t>(n_)));
    while (at >= text->tokens.size()) at -= text->tokens.size(), ++text;
    const size_t first = judged ? text->n_learned : 0;
    const size_t last = (judged ? text->tokens.size() : text->n_learned) - length_ - 1;
    const size_t begin = first + static_cast<size_t>(random.below(static_cast<int64_t>(last - first + 1)));
    Row row;
    row.tokens.assign(text->tokens.begin() + static_cast<std::ptrdiff_t>(begin),
                      text->tokens.begin() + static_cast<std::ptrdiff_t>(begin + length_ + 1));
    if (text->tokens.front() == bos_) row.tokens.front() = bos_;
    row.weights.assign(length_, kTokenWeight);
    return row;
  }

 private:
  struct Text {
    std::span<const Token> tokens;
    size_t n_learned;
  };
  std::vector<Text> texts_;
  size_t n_ = 0, length_ = 0;
  Token bos_ = -1;
};

class Tuner {
 public:
  Tuner(Parameters parent, Parameters student, const Pieces& pieces, const TuneOptions& options)
      : options_(options),
        pool_(options.n_threads),
        parent_(std::move(parent)),
        student_(std::move(student)),
        source_([this, &pieces](Random& random, double) { return pieces.draw(random, judging_); }),
        batch_(student_, &parent_, source_, training_options(options), pool_),
        gradient_(student_.values.size()) {}

  void add(const Parameter& p, const Tensor& tensor) {
    const auto i = static_cast<size_t>(&p - student_.list.data());
    if (find_grid(tensor.type) != nullptr)
      codes_.push_back({i, std::make_unique<TunedCodes>(tensor, parent_.values.data() + p.offset,
                                                        static_cast<float>(options_.pull), pool_)});
    else
      gains_.push_back({i, TunedGains(tensor)});
  }
  const Parameters& student() const { return student_; }

  Result<TuneResult> run() {
    TuneResult result;
    result.before = TRY(judge());
    const int64_t n_rows = rows_per_step(options_);
    const int64_t per_step = n_rows * options_.row_length;
    const int64_t n_steps = std::max<int64_t>(1, options_.n_tokens / per_step);
    for (int64_t step = 0; step < n_steps; ++step) {
      if (interrupted()) return fail("interrupted");
      TRY(gradient({mix64(mix64(options_.seed) + static_cast<uint64_t>(step)), n_rows, 0.0}));
      move(step, n_steps);
      if (options_.progress)
        options_.progress(static_cast<uint64_t>((step + 1) * per_step),
                          static_cast<uint64_t>(n_steps * per_step), "tuning");
    }
    result.after = TRY(judge());
    if (result.after < result.before) result.tensors = take();
    return result;
  }

 private:
  template <class T>
  struct Moving {
    size_t parameter;
    T tensor;
  };

  static int64_t rows_per_step(const TuneOptions& o) {
    return std::max<int64_t>(1, o.batch_tokens / o.row_length);
  }

  const Options& training_options(const TuneOptions& o) {
    training_.row_length = o.row_length;
    training_.distill_weight = 1;
    training_.n_threads = o.n_threads;
    return training_;
  }

  Result<double> judge() {
    judging_ = true;
    const auto sums = batch_.run(
        student_.values.data(),
        {options_.seed ^ kJudgedStream, std::max<int64_t>(1, kJudgedTokens / options_.row_length), 0.0},
        false);
    judging_ = false;
    const LossSums& s = TRY(sums);
    return s.divergence / s.weight;
  }

  Result<void> gradient(const BatchPlan& plan) {
    const LossSums sums = TRY(batch_.run(student_.values.data(), plan, true));
    if (!std::isfinite(sums.loss)) return fail("tuning diverged: the loss is {}", sums.loss);
    const auto lanes = batch_.lanes();
    constexpr int64_t kPiece = 8192;
    const auto n = static_cast<int64_t>(gradient_.size());
    std::atomic<bool> finite{true};  // a code's number that is none could not be rounded
    pool_.parallel_for((n + kPiece - 1) / kPiece, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const double squares = vector_loops().sum_lanes(
            lanes.data(), static_cast<int>(lanes.size()), i * kPiece, std::min(n, (i + 1) * kPiece),
            static_cast<float>(1 / sums.weight), gradient_.data());
        if (!std::isfinite(squares)) finite = false;
      }
    });
    if (!finite) return fail("tuning diverged: the gradient is no number");
    return {};
  }

  void move(int64_t step, int64_t n_steps) {
    const AdamStep codes = rate(options_.code_rate, step, n_steps);
    const AdamStep scales = rate(options_.scale_rate, step, n_steps);
    for (auto& [i, tensor] : codes_) {
      const Parameter& p = student_.list[i];
      tensor->step(codes, scales, gradient_.data() + p.offset, pool_);
      tensor->decode(student_.of(p).data(), pool_);
    }
    for (auto& [i, tensor] : gains_) {
      const Parameter& p = student_.list[i];
      tensor.step(scales, gradient_.data() + p.offset);
      std::ranges::copy(tensor.values(), student_.of(p).begin());
    }
  }

  static AdamStep rate(double rate, int64_t step, int64_t n_steps) {
    const double t = static_cast<double>(step + 1);
    const double warm = std::min(1.0, t / static_cast<double>(std::min(kWarmupSteps, n_steps)));
    const double along = static_cast<double>(step) / static_cast<double>(n_steps);
    AdamStep adam{};
    adam.beta1 = static_cast<float>(kBeta1), adam.beta2 = static_cast<float>(kBeta2), adam.epsilon = kEpsilon;
    adam.learning_rate = static_cast<float>(rate * warm * 0.5 * (1 + std::cos(std::numbers::pi * along)) /
                                            (1 - std::pow(kBeta1, t)));
    adam.second_correction = static_cast<float>(1 / (1 - std::pow(kBeta2, t)));
    return adam;
  }

  std::vector<TunedTensor> take() const {
    std::vector<TunedTensor> tensors;
    for (const auto& [i, tensor] : codes_) {
      const auto blocks = tensor->blocks();
      tensors.push_back({student_.list[i].name, {blocks.begin(), blocks.end()}});
    }
    for (const auto& [i, tensor] : gains_) {
      const auto bytes = std::as_bytes(tensor.values());
      tensors.push_back({student_.list[i].name, {bytes.begin(), bytes.end()}});
    }
    return tensors;
  }

  const TuneOptions& options_;
  Options training_;
  ThreadPool pool_;
  Parameters parent_, student_;
  bool judging_ = false;
  RowSource source_;
  BatchGradient batch_;
  AlignedArray<float> gradient_;
  std::vector<Moving<std::unique_ptr<TunedCodes>>> codes_;
  std::vector<Moving<TunedGains>> gains_;
};

// Values of both models, the gradients of all lanes, and a number and two moments for each code.
Result<void> check_room(const Model& model) {
  int64_t n = 0;
  for (const Tensor& tensor : model.file.tensors) n = saturating_add(n, tensor.n_elements());
  return check_memory(saturating_multiply(n, 56), "tuning all weights at once");
}

bool is_gain(const Parameter& p, const Tensor& tensor) {
  return p.trainable && tensor.type == TensorType::F32 &&
         (p.role == TensorRole::norm || p.role == TensorRole::scale);
}

TuneOptions for_model(const Model& model, TuneOptions options) {
  options.row_length = std::min(options.row_length, model.config.context_length);
  return options;
}

}  // namespace

Result<void> check_tunable(const Model& parent, std::span<const std::vector<Token>> texts,
                           const TuneOptions& options) {
  TRY(check_room(parent));
  TRY(Pieces::create(texts, parent.tokenizer.bos(), for_model(parent, options).row_length));
  return {};
}

Result<TuneResult> tune(const Model& parent, const Model& quantized,
                        std::span<const std::vector<Token>> texts, const TuneOptions& options) {
  TRY(check_room(parent));
  TRY(load_blas());
  const TuneOptions fitting = for_model(parent, options);
  const Pieces pieces = TRY(Pieces::create(texts, parent.tokenizer.bos(), fitting.row_length));
  ThreadPool pool(fitting.n_threads);
  Tuner tuner(TRY(load_parameters(parent, pool)), TRY(load_parameters(quantized, pool)), pieces, fitting);
  for (const Parameter& p : tuner.student().list) {
    const Tensor* found = quantized.file.find(p.name);
    if (found == nullptr || !(find_grid(found->type) != nullptr || is_gain(p, *found))) continue;
    Tensor tensor = *found;
    if (const Tensor* scale = find_scale(quantized.file, tensor.name)) tensor.scale = scale->f32();
    tuner.add(p, tensor);
  }
  return tuner.run();
}

}  // namespace carat::train
