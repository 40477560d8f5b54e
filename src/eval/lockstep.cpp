// Batches, workers and the reduction of tiles behind lockstep.h.
#include "eval/lockstep.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "base/thread_pool.h"
#include "eval/divergence.h"
#include "model/forward.h"

namespace carat {
namespace {

constexpr size_t kMaxSlots = 16;                   // sequences in one batch, each with a cache
constexpr int64_t kTileBytes = int64_t{16} << 20;  // logits of one model and tile
constexpr uint64_t kCachedBytes = uint64_t{64} << 20;

// What is known of one scored position under one model.
struct TokenScore {
  double log_probability;
  Token top;
};

// A position whose logits are wanted: they predict tokens[position + 1] of the item.
struct ScoredRow {
  int64_t item;
  int64_t position;
};

// One forward call: consecutive tokens of one or several items.
struct Piece {
  int64_t item;
  int64_t begin, end;  // token positions
};

Result<void> check_request(const LockstepRequest& request) {
  const Suite& suite = *request.suite;
  for (size_t i = 0; i < suite.items.size(); ++i) {
    const SuiteItem& item = suite.items[i];
    const int n = static_cast<int>(item.tokens.size());
    if (item.first_scored < 1 || item.first_scored >= n)
      return fail("suite {}: item {}: scored tokens begin at {} of {}", suite.name, i, item.first_scored, n);
    int last = item.first_scored;
    for (const AnswerSpan& span : item.answers) {
      if (span.begin < last || span.end <= span.begin || span.end > n)
        return fail("suite {}: item {}: answer [{}, {}) is not in order within the scored tokens [{}, {})",
                    suite.name, i, span.begin, span.end, item.first_scored, n);
      last = span.end;
    }
    for (const ModelUnderTest& m : request.models) {
      const Config& config = m.model->config;
      for (const Token token : item.tokens)
        if (token < 0 || token >= config.n_vocab)
          return fail("suite {}: item {}: token {} is outside the vocabulary of {} ({} tokens)", suite.name,
                      i, token, m.model->file.path, config.n_vocab);
      if (n - 1 > config.context_length)
        return fail("suite {}: item {} has {} tokens, more than the context of {} ({})", suite.name, i, n,
                    m.model->file.path, config.context_length);
    }
  }
  if (suite.items.empty()) return fail("suite {}: no items", suite.name);
  for (const ReferencePair& pair : request.pairs) {
    const auto& a = *request.models[static_cast<size_t>(pair.model)].model;
    const auto& b = *request.models[static_cast<size_t>(pair.reference)].model;
    if (a.config.n_vocab != b.config.n_vocab)
      return fail("{} has {} tokens and {} has {}: their divergence is not defined", a.file.path,
                  a.config.n_vocab, b.file.path, b.config.n_vocab);
  }
  return {};
}

// Short items share a batch; an item of more than max_rows tokens is a batch of its own.
std::vector<std::vector<int64_t>> plan_batches(const Suite& suite, int64_t max_rows) {
  std::vector<std::vector<int64_t>> batches;
  int64_t n_rows = max_rows + 1;
  for (int64_t i = 0; i < static_cast<int64_t>(suite.items.size()); ++i) {
    const int64_t n = static_cast<int64_t>(suite.items[static_cast<size_t>(i)].tokens.size()) - 1;
    if (n_rows + n > max_rows || batches.back().size() == kMaxSlots) {
      batches.emplace_back();
      n_rows = 0;
    }
    batches.back().push_back(i);
    n_rows += n;
  }
  return batches;
}

// One model as one worker sees it.
struct Lane {
  const ModelUnderTest* under_test;
  Backend* backend;
  std::unique_ptr<Forward> forward;
  std::vector<std::unique_ptr<KvCache>> caches;  // per slot
  bool is_reference;
  std::vector<float> hidden;          // [n_rows, dim] of the scored rows
  std::vector<float> logits;          // [tile, n_vocab]
  std::vector<float> probability;     // [tile, n_vocab] of a reference
  std::vector<RowSummary> summaries;  // [tile]

  const Config& config() const { return under_test->model->config; }
  std::span<const float> row(int64_t r) const {
    const int64_t n = config().n_vocab;
    return {logits.data() + r * n, static_cast<size_t>(n)};
  }
  std::span<const float> probability_row(int64_t r) const {
    const int64_t n = config().n_vocab;
    return {probability.data() + r * n, static_cast<size_t>(n)};
  }
};

// Everything one thread of control needs; workers share only the scores, whose items they divide among them.
class Worker {
 public:
  Worker(const LockstepRequest& request, LockstepScores& scores, int n_threads)
      : request_(request), suite_(*request.suite), scores_(scores), pool_(n_threads), n_threads_(n_threads) {}

  Result<void> prepare();
  Result<void> run(const std::vector<int64_t>& batch);

 private:
  Result<Backend*> backend_of(Precision precision);
  Result<void> make_caches(Lane& lane, size_t n_slots);
  void forward(Lane& lane, const std::vector<Piece>& pieces);
  Result<void> run_pieces(const std::vector<Piece>& pieces);
  void reduce_tile(int64_t n_rows);
  Result<void> add_row(const ScoredRow& row, int64_t r);
  Token target(const ScoredRow& row) const {
    return suite_.items[static_cast<size_t>(row.item)].tokens[static_cast<size_t>(row.position + 1)];
  }

  const LockstepRequest& request_;
  const Suite& suite_;
  LockstepScores& scores_;
  ThreadPool pool_;
  int n_threads_;
  std::map<Precision, std::unique_ptr<Backend>> backends_;
  std::vector<Lane> lanes_;
  std::vector<double> pair_kld_;    // [n_pairs, tile]
  std::vector<TokenScore> tokens_;  // [n_models] of the row being added
  int64_t tile_ = 0;
  int64_t longest_ = 0;
};

Result<Backend*> Worker::backend_of(Precision precision) {
  auto& backend = backends_[precision];
  if (!backend) backend = TRY(make_cpu_backend({.n_threads = n_threads_, .precision = precision}));
  return backend.get();
}

Result<void> Worker::prepare() {
  int64_t largest_vocab = 1;
  for (const ModelUnderTest& m : request_.models)
    largest_vocab = std::max(largest_vocab, m.model->config.n_vocab);
  tile_ = std::clamp<int64_t>(kTileBytes / 4 / largest_vocab, 16, 256);
  for (const SuiteItem& item : suite_.items)
    longest_ = std::max(longest_, static_cast<int64_t>(item.tokens.size()) - 1);
  for (size_t i = 0; i < request_.models.size(); ++i) {
    const ModelUnderTest& m = request_.models[i];
    Backend* backend = TRY(backend_of(m.precision));
    const bool is_reference =
        std::any_of(request_.pairs.begin(), request_.pairs.end(),
                    [&](const ReferencePair& p) { return p.reference == static_cast<int>(i); });
    const size_t tile_size = static_cast<size_t>(tile_ * m.model->config.n_vocab);
    lanes_.push_back({&m,
                      backend,
                      std::make_unique<Forward>(
                          TRY(Forward::create(m.model, *backend, ForwardOptions{request_.max_rows}))),
                      {},
                      is_reference,
                      {},
                      std::vector<float>(tile_size),
                      std::vector<float>(is_reference ? tile_size : 0),
                      std::vector<RowSummary>(static_cast<size_t>(tile_))});
  }
  pair_kld_.resize(request_.pairs.size() * static_cast<size_t>(tile_));
  return {};
}

// Slot 0 takes items of any length, the others only those that share a batch.
Result<void> Worker::make_caches(Lane& lane, size_t n_slots) {
  while (lane.caches.size() < n_slots) {
    const int64_t n_positions = lane.caches.empty() ? longest_ : std::min(longest_, request_.max_rows);
    const KvCache::Shape shape{n_positions, std::min(n_positions, request_.max_rows), lane.under_test->kv};
    lane.caches.push_back(
        std::make_unique<KvCache>(TRY(KvCache::create(lane.config(), shape, *lane.backend))));
  }
  return {};
}

Result<void> Worker::run(const std::vector<int64_t>& batch) {
  for (Lane& lane : lanes_) {
    TRY(make_caches(lane, batch.size()));
    for (size_t slot = 0; slot < batch.size(); ++slot) lane.caches[slot]->clear();
  }
  std::vector<Piece> pieces;
  for (const int64_t item : batch)
    pieces.push_back(
        {item, 0, static_cast<int64_t>(suite_.items[static_cast<size_t>(item)].tokens.size()) - 1});
  if (pieces.size() > 1 || pieces.front().end <= request_.max_rows) return run_pieces(pieces);
  for (int64_t begin = 0, n = pieces.front().end; begin < n; begin += request_.max_rows) {
    if (interrupted()) return fail("interrupted");
    const std::vector<Piece> part{{batch.front(), begin, std::min(n, begin + request_.max_rows)}};
    TRY(run_pieces(part));
  }
  return {};
}

// Runs the pieces through one model and keeps the hidden states of the scored rows.
void Worker::forward(Lane& lane, const std::vector<Piece>& pieces) {
  std::vector<Chunk> chunks;
  for (size_t slot = 0; slot < pieces.size(); ++slot) {
    const Piece& p = pieces[slot];
    const SuiteItem& item = suite_.items[static_cast<size_t>(p.item)];
    chunks.push_back(
        {lane.caches[slot].get(),
         std::span(item.tokens).subspan(static_cast<size_t>(p.begin), static_cast<size_t>(p.end - p.begin))});
  }
  const std::span<const float> hidden = lane.forward->run(chunks, Rows::all);
  const size_t dim = static_cast<size_t>(lane.config().dim);
  lane.hidden.clear();
  size_t row = 0;
  for (const Piece& p : pieces)
    for (int64_t position = p.begin; position < p.end; ++position, ++row) {
      if (position + 1 < suite_.items[static_cast<size_t>(p.item)].first_scored) continue;
      const auto from = hidden.subspan(row * dim, dim);
      lane.hidden.insert(lane.hidden.end(), from.begin(), from.end());
    }
}

Result<void> Worker::run_pieces(const std::vector<Piece>& pieces) {
  std::vector<ScoredRow> rows;
  for (const Piece& p : pieces)
    for (int64_t position = p.begin; position < p.end; ++position)
      if (position + 1 >= suite_.items[static_cast<size_t>(p.item)].first_scored)
        rows.push_back({p.item, position});
  for (Lane& lane : lanes_) forward(lane, pieces);
  for (size_t begin = 0; begin < rows.size(); begin += static_cast<size_t>(tile_)) {
    const auto tile =
        std::span(rows).subspan(begin, std::min(static_cast<size_t>(tile_), rows.size() - begin));
    for (Lane& lane : lanes_) {
      const size_t dim = static_cast<size_t>(lane.config().dim);
      lane.forward->logits(std::span(lane.hidden).subspan(begin * dim, tile.size() * dim),
                           static_cast<int64_t>(tile.size()), lane.logits.data());
    }
    reduce_tile(static_cast<int64_t>(tile.size()));
    for (size_t r = 0; r < tile.size(); ++r) TRY(add_row(tile[r], static_cast<int64_t>(r)));
  }
  return {};
}

// Rows are independent: each is reduced by one thread, in one order.
void Worker::reduce_tile(int64_t n_rows) {
  pool_.parallel_for(n_rows, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      for (Lane& lane : lanes_) {
        lane.summaries[static_cast<size_t>(r)] = summarize(lane.row(r));
        if (!lane.is_reference) continue;
        const int64_t n = lane.config().n_vocab;
        probabilities(lane.row(r), lane.summaries[static_cast<size_t>(r)],
                      {lane.probability.data() + r * n, static_cast<size_t>(n)});
      }
      for (size_t p = 0; p < request_.pairs.size(); ++p) {
        const Lane& model = lanes_[static_cast<size_t>(request_.pairs[p].model)];
        const Lane& reference = lanes_[static_cast<size_t>(request_.pairs[p].reference)];
        pair_kld_[p * static_cast<size_t>(tile_) + static_cast<size_t>(r)] = kl_divergence(
            reference.probability_row(r), reference.row(r), reference.summaries[static_cast<size_t>(r)],
            model.row(r), model.summaries[static_cast<size_t>(r)]);
      }
    }
  });
}

// Adds one scored position to the sums of its item, in order of positions.
Result<void> Worker::add_row(const ScoredRow& row, int64_t r) {
  const size_t item_index = static_cast<size_t>(row.item);
  const SuiteItem& item = suite_.items[item_index];
  const Token expected = target(row);
  const auto span = std::find_if(item.answers.begin(), item.answers.end(), [&](const AnswerSpan& s) {
    return s.begin <= row.position + 1 && row.position + 1 < s.end;
  });
  const bool in_answer = span != item.answers.end();
  const size_t token_index =
      static_cast<size_t>(scores_.first_token[item_index] + row.position + 1 - item.first_scored);

  tokens_.clear();
  for (size_t m = 0; m < lanes_.size(); ++m) {
    const RowSummary& summary = lanes_[m].summaries[static_cast<size_t>(r)];
    const double log_p = log_probability(lanes_[m].row(r), summary, expected);
    if (!std::isfinite(log_p))
      return fail("{}: item {} ({}): the log-probability of token {} at position {} is {}",
                  lanes_[m].under_test->model->file.path, row.item, item.category, expected, row.position + 1,
                  log_p);
    ModelScores& scores = scores_.models[m];
    scores.nll[item_index] -= log_p;
    scores.token_nll[token_index] = static_cast<float>(-log_p);
    if (in_answer) {
      scores.answer_nll[item_index] -= log_p;
      const int64_t answer = scores_.first_answer[item_index] + (span - item.answers.begin());
      if (summary.top != expected) scores.correct[static_cast<size_t>(answer)] = 0;
    }
    tokens_.push_back({log_p, summary.top});
  }
  for (size_t p = 0; p < request_.pairs.size(); ++p) {
    const TokenScore& model = tokens_[static_cast<size_t>(request_.pairs[p].model)];
    const TokenScore& reference = tokens_[static_cast<size_t>(request_.pairs[p].reference)];
    const double kld = pair_kld_[p * static_cast<size_t>(tile_) + static_cast<size_t>(r)];
    const double delta = std::exp(model.log_probability) - std::exp(reference.log_probability);
    PairScores& scores = scores_.pairs[p];
    scores.kld[item_index] += kld;
    scores.squared_delta_p[item_index] += delta * delta;
    scores.same_top[item_index] += model.top == reference.top;
    if (in_answer) {
      scores.answer_kld[item_index] += kld;
      scores.answer_same_top[item_index] += model.top == reference.top;
    }
    scores.token_kld[token_index] = static_cast<float>(kld);
  }
  return {};
}

int choose_workers(const LockstepRequest& request, size_t n_batches) {
  if (request.n_workers > 0) return std::min(request.n_workers, request.n_threads);
  uint64_t largest = 0;
  for (const ModelUnderTest& m : request.models) largest = std::max(largest, m.model->weight_bytes());
  if (largest > kCachedBytes) return 1;
  return static_cast<int>(std::min<size_t>(static_cast<size_t>(request.n_threads), n_batches));
}

int64_t batch_tokens(const Suite& suite, const std::vector<int64_t>& batch) {
  int64_t n = 0;
  for (const int64_t i : batch) n += static_cast<int64_t>(suite.items[static_cast<size_t>(i)].tokens.size());
  return n;
}

// Hands batches to workers and keeps the first error and the progress.
class Dispatcher {
 public:
  Dispatcher(const LockstepRequest& request, std::vector<std::vector<int64_t>> batches)
      : request_(request), batches_(std::move(batches)) {
    for (const auto& batch : batches_) total_ += cost(batch);
  }

  void serve(Worker& worker) {
    while (true) {
      const size_t next = next_.fetch_add(1);
      if (next >= batches_.size() || stop_.load()) return;
      Result<void> result = interrupted() ? Result<void>(fail("interrupted")) : worker.run(batches_[next]);
      const std::lock_guard lock(mutex_);
      if (!result) {
        stop_.store(true);
        if (!error_ || next < error_at_) error_ = result.take_error(), error_at_ = next;
        return;
      }
      done_ += cost(batches_[next]);
      if (request_.progress) request_.progress(done_, total_, "judging");
    }
  }

  std::optional<Error> error() const { return error_; }

 private:
  uint64_t cost(const std::vector<int64_t>& batch) const {
    return static_cast<uint64_t>(batch_tokens(*request_.suite, batch)) * request_.models.size();
  }

  const LockstepRequest& request_;
  std::vector<std::vector<int64_t>> batches_;
  std::atomic<size_t> next_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  uint64_t done_ = 0, total_ = 0;
  std::optional<Error> error_;
  size_t error_at_ = 0;
};

}  // namespace

Result<LockstepScores> run_lockstep(const LockstepRequest& request) {
  CHECK(request.suite != nullptr && request.n_threads >= 1 && request.max_rows >= 1);
  TRY(check_request(request));
  LockstepScores scores = empty_scores(*request.suite, request.models.size(), request.pairs.size());
  std::vector<std::vector<int64_t>> batches = plan_batches(*request.suite, request.max_rows);
  const int n_workers = choose_workers(request, batches.size());
  std::vector<std::unique_ptr<Worker>> workers;
  for (int w = 0; w < n_workers; ++w) {
    const int n_threads = request.n_threads * (w + 1) / n_workers - request.n_threads * w / n_workers;
    workers.push_back(std::make_unique<Worker>(request, scores, n_threads));
    TRY(workers.back()->prepare());
  }
  Dispatcher dispatcher(request, std::move(batches));
  {
    std::vector<std::jthread> threads;
    for (size_t w = 1; w < workers.size(); ++w)
      threads.emplace_back([&dispatcher, worker = workers[w].get()] { dispatcher.serve(*worker); });
    dispatcher.serve(*workers.front());
  }
  if (dispatcher.error()) return *dispatcher.error();
  return scores;
}

}  // namespace carat
