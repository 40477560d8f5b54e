// See the header. Sums run in double, token by token, so that they do not depend on the number of threads.
#include "eval/importance.h"

#include <algorithm>
#include <limits>
#include <map>

#include "model/forward.h"
#include "model/kv_cache.h"

namespace carat {
namespace {

struct Squares {
  int64_t n_columns = 0;
  std::vector<double> sums, counts;
};

class SquareCollector {
 public:
  SquareCollector(const Model& model, bool head)
      : head_(head ? model.weights.output.name : std::string_view()) {}

  void add(const TappedInput& input) {
    for (const Tensor* weight : input.weights)
      if (weight->name.starts_with("blk.") || (!head_.empty() && weight->name == head_))
        add_to(*weight, input);
  }

  std::map<std::string, InputSquares, std::less<>> take() const {
    std::map<std::string, InputSquares, std::less<>> entries;
    for (const auto& [name, squares] : squares_) {
      InputSquares entry{squares.n_columns, {}, {}};
      for (const double v : squares.sums) entry.sums.push_back(static_cast<float>(v));
      for (const double v : squares.counts) entry.counts.push_back(static_cast<float>(v));
      entries.emplace(name, std::move(entry));
    }
    return entries;
  }

 private:
  void add_to(const Tensor& weight, const TappedInput& input) {
    Squares& squares = squares_[std::string(weight.name)];
    const auto n = static_cast<size_t>(weight.n_columns()), matrix = static_cast<size_t>(input.matrix);
    if (squares.sums.empty()) {
      const auto n_matrices = static_cast<size_t>(weight.shape[2] * weight.shape[3]);
      squares = {weight.n_columns(), std::vector<double>(n * n_matrices), std::vector<double>(n_matrices)};
    }
    double* sums = squares.sums.data() + matrix * n;
    for (int64_t r = 0; r < input.n_rows; ++r) {
      const float* x = input.x + r * weight.n_columns();
      for (size_t i = 0; i < n; ++i) sums[i] += static_cast<double>(x[i]) * x[i];
    }
    squares.counts[matrix] += static_cast<double>(input.n_rows);
  }

  std::string_view head_;
  std::map<std::string, Squares> squares_;
};

}  // namespace

Result<CalibrationChunks> cut_into_chunks(const Model& model, std::span<const CalibrationText> texts,
                                          const CalibrationOptions& options) {
  CalibrationChunks cut;
  cut.n_ctx = std::min(options.n_ctx, model.config.context_length);
  if (cut.n_ctx < 2) return fail("pieces of {} tokens are too short: expected at least 2", cut.n_ctx);
  const auto length = static_cast<size_t>(cut.n_ctx);
  const Token bos = model.tokenizer.bos();
  size_t n_tokens = 0;
  for (const CalibrationText& text : texts) {
    n_tokens = std::max(n_tokens, text.tokens.size());
    for (size_t begin = 0; begin + length <= text.tokens.size(); begin += length) {
      if (options.max_chunks > 0 && static_cast<int64_t>(cut.chunks.size()) == options.max_chunks) return cut;
      const auto tokens = std::span(text.tokens).subspan(begin, length);
      cut.chunks.emplace_back(tokens.begin(), tokens.end());
      if (bos >= 0) cut.chunks.back().front() = bos;
    }
  }
  if (cut.chunks.empty())
    return fail("the longest text has {} tokens: expected at least the {} of one piece", n_tokens, cut.n_ctx);
  return cut;
}

Result<void> observe_inputs(std::shared_ptr<const Model> model, const CalibrationChunks& chunks,
                            const CalibrationOptions& options, bool head, const InputObserver& observer) {
  const auto inner = TRY(make_cpu_backend({.n_threads = options.n_threads, .precision = Precision::exact}));
  const auto backend = tap(*inner, observer);
  const Config& config = model->config;
  const int64_t n_rows = std::min<int64_t>(chunks.n_ctx, 512);
  Forward forward = TRY(Forward::create(model, *backend, {.max_rows = n_rows}));
  KvCache cache = TRY(KvCache::create(config, {chunks.n_ctx, n_rows, options.kv}, *backend));
  // The head is not run for its inputs: they are the hidden states.
  const Tensor* const output = &model->weights.output;
  uint64_t done = 0;
  const uint64_t total = chunks.chunks.size() * static_cast<uint64_t>(chunks.n_ctx);
  for (const std::vector<Token>& chunk : chunks.chunks) {
    cache.clear();
    for (std::span<const Token> rest = chunk; !rest.empty();) {
      if (interrupted()) return fail("interrupted");
      const auto piece = rest.first(std::min(rest.size(), static_cast<size_t>(n_rows)));
      rest = rest.subspan(piece.size());
      const Chunk part{&cache, piece};
      const auto hidden = forward.run({&part, 1}, Rows::all);
      if (head) observer({{&output, 1}, 0, hidden.data(), static_cast<int64_t>(piece.size())});
      done += piece.size();
      if (options.progress) options.progress(done, total, "reading");
    }
  }
  return {};
}

Result<ImportanceMatrix> collect_importance(std::shared_ptr<const Model> model,
                                            std::span<const CalibrationText> texts,
                                            const CalibrationOptions& options, bool head) {
  const CalibrationChunks chunks = TRY(cut_into_chunks(*model, texts, options));
  SquareCollector collector(*model, head);
  TRY(observe_inputs(model, chunks, options, head, [&](const TappedInput& input) { collector.add(input); }));
  ImportanceMatrix importance;
  for (const CalibrationText& text : texts) importance.datasets.push_back(text.name);
  importance.n_chunks = static_cast<int64_t>(chunks.chunks.size());
  importance.chunk_length = chunks.n_ctx;
  importance.entries = collector.take();
  for (const auto& [name, entry] : importance.entries)
    for (const float sum : entry.sums)
      if (!(sum <= std::numeric_limits<float>::max()))
        return fail("{}: the inputs of '{}' are no numbers", model->file.path, name);
  return importance;
}

}  // namespace carat
