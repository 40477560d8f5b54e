// See the header.
#include "train/tune.h"

#include <algorithm>
#include <cmath>

#include "model/memory_budget.h"
#include "train/batch_gradient.h"
#include "train/blas.h"
#include "train/model_file.h"
#include "train/optimizer.h"
#include "train/text_pieces.h"

namespace carat::train {
namespace {

constexpr int64_t kJudgedTokens = 1 << 14;
constexpr uint64_t kJudgedStream = 0x6a756467656400u;

class Tuner {
 public:
  Tuner(Parameters parent, Parameters student, const gguf::File& quantized, const TextPieces& pieces,
        const TuneOptions& options)
      : options_(options),
        pool_(options.n_threads),
        parent_(std::move(parent)),
        student_(std::move(student)),
        source_([this, &pieces](Random& random, double) { return pieces.draw(random, judging_); }),
        batch_(student_, &parent_, source_, training_options(options), pool_),
        pieces_(cut_into_pieces(student_)),
        gradient_(student_.values.size()),
        tensors_(student_, parent_, quantized, options.pull, pool_) {}

  Result<TuneResult> run() {
    TuneResult result;
    result.before = TRY(judge());
    const int64_t n_rows = rows_per_step(options_);
    const int64_t per_step = n_rows * options_.row_length;
    const int64_t n_steps = std::max<int64_t>(1, options_.n_tokens / per_step);
    for (int64_t step = 0; step < n_steps; ++step) {
      if (interrupted()) return fail("interrupted");
      TRY(gradient({mix64(mix64(options_.seed) + static_cast<uint64_t>(step)), n_rows, 0.0}));
      tensors_.move(options_.rates, step, n_steps, gradient_.data(), student_, pool_);
      if (options_.progress)
        options_.progress(static_cast<uint64_t>((step + 1) * per_step),
                          static_cast<uint64_t>(n_steps * per_step), "tuning");
    }
    result.after = TRY(judge());
    if (result.after < result.before) result.tensors = tensors_.take();
    return result;
  }

 private:
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
    // A code's number that is none could not be rounded.
    const double squares =
        sum_lanes(batch_.lanes(), pieces_, static_cast<float>(1 / sums.weight), gradient_, pool_);
    if (!std::isfinite(squares)) return fail("tuning diverged: the gradient is no number");
    return {};
  }

  const TuneOptions& options_;
  Options training_;
  ThreadPool pool_;
  Parameters parent_, student_;
  bool judging_ = false;
  RowSource source_;
  BatchGradient batch_;
  std::vector<Piece> pieces_;
  AlignedArray<float> gradient_;
  TunedTensors tensors_;
};

// Values of both models, the gradients of all lanes, and a number and two moments for each code; what each
// thread works with.
Result<void> check_room(const Model& model, const TuneOptions& options) {
  int64_t n = 0;
  for (const Tensor& tensor : model.file.tensors) n = saturating_add(n, tensor.n_elements());
  const int64_t of_thread = 4 * BatchGradient::n_floats_per_thread(model.config, true, options.row_length);
  return check_memory(
      saturating_add(saturating_multiply(n, 56), saturating_multiply(options.n_threads, of_thread)),
      "tuning all weights at once");
}

TuneOptions for_model(const Model& model, TuneOptions options) {
  options.row_length = std::min(options.row_length, model.config.context_length);
  return options;
}

}  // namespace

Result<void> check_tunable(const Model& parent, std::span<const std::vector<Token>> texts,
                           const TuneOptions& options) {
  const TuneOptions fitting = for_model(parent, options);
  TRY(check_room(parent, fitting));
  TRY(TextPieces::create(texts, parent.tokenizer.bos(), fitting.row_length));
  return {};
}

Result<TuneResult> tune(const Model& parent, const Model& quantized,
                        std::span<const std::vector<Token>> texts, const TuneOptions& options) {
  const TuneOptions fitting = for_model(parent, options);
  TRY(check_room(parent, fitting));
  TRY(load_blas());
  const TextPieces pieces = TRY(TextPieces::create(texts, parent.tokenizer.bos(), fitting.row_length));
  ThreadPool pool(fitting.n_threads);
  Parameters from = TRY(load_parameters(parent, pool)), to = TRY(load_parameters(quantized, pool));
  return Tuner(std::move(from), std::move(to), quantized.file, pieces, fitting).run();
}

}  // namespace carat::train
