// See the header. Rows are cut into a fixed number of lanes, as in batch_gradient.cpp, so threads change no
// bit.
#include "train/tune_layers.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "base/random.h"
#include "model/memory_budget.h"
#include "train/batch_gradient.h"
#include "train/blas.h"
#include "train/model_file.h"
#include "train/network.h"
#include "train/optimizer.h"
#include "train/text_pieces.h"
#include "train/token_stream.h"

namespace carat::train {
namespace {

constexpr int64_t kBytesOfBlocks = 1;  // a weight, at most in what people tune
constexpr int64_t kBytesAWeight =
    56;  // values, gradients of all lanes and their sum, a number and two moments for each code

// The rows: those to learn from, and then those that only judge.
struct LayerRows {
  StreamRows rows;
  int64_t n_learned;
};

LayerRows draw_rows(const TextPieces& pieces, const LayerTuneOptions& o) {
  const int64_t n_rows = std::max<int64_t>(2, o.n_tokens / o.row_length),
                n_judged = std::max<int64_t>(1, n_rows / 16);
  std::vector<Token> tokens;
  for (int64_t i = 0; i < n_rows; ++i) {
    Random random(mix64(o.seed ^ mix64(static_cast<uint64_t>(i))));
    const Row row = pieces.draw(random, i >= n_rows - n_judged);
    tokens.insert(tokens.end(), row.tokens.begin(), row.tokens.end() - 1);
  }
  return {make_stream_rows(std::move(tokens), o.row_length), n_rows - n_judged};
}

// One layer of one model over rows of its stream.
class LayerRunner {
 public:
  // keep: for backward().
  LayerRunner(const Parameters& parameters, const StreamRows& rows, bool keep, ThreadPool& pool)
      : rows_(rows),
        pool_(pool),
        network_(parameters, rows.length),
        tokens_(static_cast<size_t>(rows_per_pass(rows.length) * rows.length)) {
    workers_.resize(static_cast<size_t>(pool.size()));
    for (auto& worker : workers_)
      worker =
          std::make_unique<Activations>(parameters.config, rows_per_pass(rows.length), rows.length, keep);
  }

  // Runs these rows, and hands each piece of consecutive ones to use(row, n, activations). Once the program
  // is interrupted it leaves out the rest.
  template <class Use>
  void run(const float* weights, const TokenStream& stream, std::span<const int64_t> order, int thread,
           const Use& use) {
    Activations& a = *workers_[static_cast<size_t>(thread)];
    const auto most = static_cast<size_t>(rows_per_pass(rows_.length));
    for (size_t i = 0, n; i < order.size() && !interrupted(); i += n) {
      for (n = 1; i + n < order.size() && n < most && order[i + n] == order[i + n - 1] + 1;) ++n;
      const auto n_rows = static_cast<int64_t>(n);
      stream.fill(order[i], n_rows, a);
      network_.forward_layer(weights, token_rows(n_rows), 0, a);
      use(order[i], n_rows, a);
    }
  }
  void backward(const float* weights, int64_t n_rows, Activations& a, float* gradient) const {
    network_.backward_layer(weights, token_rows(n_rows), 0, a, gradient);
  }

  // Moves the whole stream behind the layer.
  void advance(const float* weights, TokenStream& stream) {
    std::vector<int64_t> all(static_cast<size_t>(rows_.n_rows));
    std::iota(all.begin(), all.end(), int64_t{0});
    pool_.parallel_for(
        rows_.n_rows, rows_per_pass(rows_.length), [&](int64_t begin, int64_t end, int thread) {
          run(weights, stream,
              std::span(all).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)), thread,
              [&](int64_t row, int64_t n, const Activations& a) { stream.take(row, n, a); });
        });
  }

  size_t arena_size() const { return network_.arena_size(); }

 private:
  TokenRows token_rows(int64_t n_rows) const {  // which tokens they are was said when the stream was made
    return {n_rows, rows_.length, std::span(tokens_).first(static_cast<size_t>(n_rows * rows_.length))};
  }

  const StreamRows& rows_;
  ThreadPool& pool_;
  Network network_;
  std::vector<Token> tokens_;
  std::vector<std::unique_ptr<Activations>> workers_;
};

// Squared distance of each token's state from the original's, relative to its size, summed up; `gradient`,
// unless nullptr, is that of scale times it.
double relative_error(const float* states, const float* wanted, int64_t n_tokens, int64_t dim, float scale,
                      float* gradient) {
  double total = 0;
  for (int64_t t = 0; t < n_tokens; ++t, states += dim, wanted += dim) {
    double error = 0, size = 0;
    for (int64_t i = 0; i < dim; ++i) {
      const double e = static_cast<double>(states[i]) - wanted[i];
      error += e * e, size += static_cast<double>(wanted[i]) * wanted[i];
    }
    if (!(size <= 0)) total += error / size;  // what is no number stays so
    if (gradient == nullptr) continue;
    const float factor = size > 0 ? static_cast<float>(2 * scale / size) : 0;
    for (int64_t i = 0; i < dim; ++i) gradient[t * dim + i] = factor * (states[i] - wanted[i]);
  }
  return total;
}

// Tunes one layer.
class LayerTuner {
 public:
  LayerTuner(Parameters& student, const Parameters& original, const gguf::File& quantized,
             const LayerRows& rows, const TokenStream& inputs, const TokenStream& wanted,
             const LayerTuneOptions& options, uint64_t seed, ThreadPool& pool)
      : options_(options),
        rows_(rows),
        inputs_(inputs),
        wanted_(wanted),
        pool_(pool),
        student_(student),
        runner_(student, rows.rows, true, pool),
        tensors_(student, original, quantized, options.pull, pool),
        pieces_(cut_into_pieces(student)),
        gradient_(student.values.size()),
        random_(seed) {}

  // on_step: after each of n_steps(). A layer that diverges has not been helped.
  template <class OnStep>
  LayerError run(const OnStep& on_step) {
    LayerError error;
    error.before = error.after = judge();
    if (!std::isfinite(error.before)) return error;
    const int64_t n_rows = rows_per_step(options_, rows_.n_learned), per_pass = rows_.n_learned / n_rows;
    std::vector<int64_t> order(static_cast<size_t>(rows_.n_learned));
    std::iota(order.begin(), order.end(), int64_t{0});
    for (int64_t step = 0, n = n_steps(options_, rows_.n_learned); step < n; ++step) {
      if (interrupted()) return error;
      if (step % per_pass == 0) random_.shuffle(order);
      const auto first = static_cast<size_t>(step % per_pass * n_rows);
      const double distance =
          over(std::span(order).subspan(first, static_cast<size_t>(n_rows)), gradient_.data());
      if (!std::isfinite(distance) || !std::isfinite(squares_)) return error;
      tensors_.move(options_.rates, step, n, gradient_.data(), student_, pool_);
      on_step(step);
    }
    const double after = judge();
    if (after < error.before) error.after = after;
    return error;
  }
  static int64_t rows_per_step(const LayerTuneOptions& o, int64_t n_learned) {
    return std::clamp<int64_t>(o.batch_tokens / o.row_length, 1, n_learned);
  }
  static int64_t n_steps(const LayerTuneOptions& o, int64_t n_learned) {
    return o.n_passes * (n_learned / rows_per_step(o, n_learned));
  }
  std::vector<TunedTensor> take() const { return tensors_.take(); }

 private:
  int64_t dim() const { return student_.config.dim; }

  double judge() {
    std::vector<int64_t> order(static_cast<size_t>(rows_.rows.n_rows - rows_.n_learned));
    std::iota(order.begin(), order.end(), rows_.n_learned);
    return over(order, nullptr) / static_cast<double>(static_cast<int64_t>(order.size()) * rows_.rows.length);
  }

  // The error of some rows; with `gradient`, that of their mean.
  double over(std::span<const int64_t> order, float* gradient) {
    const auto n = static_cast<int64_t>(order.size()), n_lanes = std::min(kLanes, n);
    const float scale = 1 / static_cast<float>(n * rows_.rows.length);
    std::vector<double> errors(static_cast<size_t>(n_lanes));
    if (gradient != nullptr && static_cast<int64_t>(lanes_.size()) < n_lanes)
      lanes_.resize(static_cast<size_t>(n_lanes));
    for (auto& lane : lanes_)
      if (lane.size() == 0) lane = AlignedArray<float>(runner_.arena_size());
    pool_.parallel_for(n_lanes, 1, [&](int64_t begin, int64_t end, int thread) {
      for (int64_t lane = begin; lane < end; ++lane) {
        const int64_t first = n * lane / n_lanes, last = n * (lane + 1) / n_lanes;
        float* own = gradient == nullptr ? nullptr : lanes_[static_cast<size_t>(lane)].data();
        if (own != nullptr) std::fill_n(own, runner_.arena_size(), 0.0f);
        runner_.run(student_.values.data(), inputs_,
                    order.subspan(static_cast<size_t>(first), static_cast<size_t>(last - first)), thread,
                    [&](int64_t row, int64_t n_rows, Activations& a) {
                      errors[static_cast<size_t>(lane)] +=
                          relative_error(a.h_out, wanted_.hidden(row), n_rows * rows_.rows.length, dim(),
                                         scale, gradient == nullptr ? nullptr : a.dh);
                      if (gradient != nullptr) runner_.backward(student_.values.data(), n_rows, a, own);
                    });
      }
    });
    if (gradient != nullptr) {
      std::vector<const float*> lanes;
      for (int64_t lane = 0; lane < n_lanes; ++lane)
        lanes.push_back(lanes_[static_cast<size_t>(lane)].data());
      squares_ = sum_lanes(lanes, pieces_, 1.0f, gradient_, pool_);
    }
    return std::accumulate(errors.begin(), errors.end(), 0.0);
  }

  const LayerTuneOptions& options_;
  const LayerRows& rows_;
  const TokenStream &inputs_, &wanted_;
  ThreadPool& pool_;
  Parameters& student_;
  LayerRunner runner_;
  TunedTensors tensors_;
  std::vector<Piece> pieces_;
  std::vector<AlignedArray<float>> lanes_;
  AlignedArray<float> gradient_;
  double squares_ = 0;
  Random random_;
};

LayerTuneOptions for_model(const Model& model, LayerTuneOptions options) {
  options.row_length = std::min(options.row_length, model.config.context_length);
  return options;
}

// The largest layer with its gradients and each thread's activations, both streams, and all layers' blocks
// twice: as they were and as they are tuned.
Result<void> check_room(const Model& model, const LayerTuneOptions& options) {
  const Config& config = model.config;
  std::vector<int64_t> weights(config.layers.size());
  int64_t total = 0, largest = 0;
  for (const TensorSlot& slot : tensor_slots(config)) {
    if (slot.layer < 0) continue;
    const int64_t size = slot.shape[0] * slot.shape[1] * slot.shape[2] * slot.shape[3];
    int64_t& of_layer = weights[static_cast<size_t>(slot.layer)];
    of_layer = saturating_add(of_layer, size), total = saturating_add(total, size);
  }
  for (int i = 0; i < config.n_layers(); ++i) {
    const int64_t of_thread =
        4 * Activations::n_floats(layer_config(config, i), rows_per_pass(options.row_length),
                                  options.row_length, true);
    largest =
        std::max(largest, saturating_add(saturating_multiply(weights[static_cast<size_t>(i)], kBytesAWeight),
                                         saturating_multiply(options.n_threads, of_thread)));
  }
  const int64_t of_tokens = saturating_multiply(8 * options.n_tokens, TokenStream::floats_per_token(config));
  const int64_t of_vocabulary = saturating_multiply(8 * std::min(options.n_tokens, config.n_vocab),
                                                    config.dim + 2 * config.per_layer_dim);
  const int64_t of_blocks = saturating_multiply(total, 2 * kBytesOfBlocks);
  return check_memory(
      saturating_add(saturating_add(largest, of_blocks), saturating_add(of_tokens, of_vocabulary)),
      "tuning layer by layer");
}

}  // namespace

Result<void> check_layers_tunable(const Model& original, std::span<const std::vector<Token>> texts,
                                  const LayerTuneOptions& options) {
  const LayerTuneOptions fitting = for_model(original, options);
  TRY(check_room(original, fitting));
  TRY(TextPieces::create(texts, original.tokenizer.bos(), fitting.row_length));
  return {};
}

Result<LayerTuneResult> tune_layers(const Model& original, const Model& quantized,
                                    std::span<const std::vector<Token>> texts,
                                    const LayerTuneOptions& wanted_options) {
  const LayerTuneOptions options = for_model(original, wanted_options);
  TRY(check_room(original, options));
  TRY(load_blas());
  const LayerRows rows =
      draw_rows(TRY(TextPieces::create(texts, original.tokenizer.bos(), options.row_length)), options);
  ThreadPool pool(options.n_threads);
  TokenStream wanted = TRY(TokenStream::create(original, rows.rows, pool));
  TokenStream states = TRY(TokenStream::create(quantized, rows.rows, pool));
  LayerTuneResult result;
  const int n_layers = original.config.n_layers();
  const int64_t n_steps = LayerTuner::n_steps(options, rows.n_learned);
  for (int layer = 0; layer < n_layers; ++layer) {
    TRY(wanted.enter(layer, pool));
    TRY(states.enter(layer, pool));
    const Parameters from = TRY(load_layer(original, layer, pool));
    LayerRunner(from, rows.rows, false, pool).advance(from.values.data(), wanted);
    Parameters student = TRY(load_layer(quantized, layer, pool));
    {
      LayerTuner tuner(student, from, quantized.file, rows, states, wanted, options,
                       mix64(options.seed + static_cast<uint64_t>(layer)), pool);
      const LayerError error = tuner.run([&](int64_t step) {
        if (options.progress)
          options.progress(static_cast<uint64_t>(layer * n_steps + step + 1),
                           static_cast<uint64_t>(n_layers * n_steps), "tuning layers");
      });
      if (interrupted()) return fail("interrupted");
      if (!std::isfinite(error.before))
        return fail("{}: layer {} makes values of the text that are no numbers, or that of {} does",
                    quantized.file.path, layer, original.file.path);
      if (error.after < error.before) {
        for (TunedTensor& tensor : tuner.take()) result.tensors.push_back(std::move(tensor));
      } else {
        student = TRY(load_layer(quantized, layer, pool));
      }
      result.layers.push_back(error);
    }
    LayerRunner(student, rows.rows, false, pool).advance(student.values.data(), states);
    if (interrupted()) return fail("interrupted");
  }
  return result;
}

}  // namespace carat::train
