// Passes, workers and what they share, behind lockstep.h.
#include "eval/lockstep.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "base/thread_pool.h"
#include "eval/layer_major.h"
#include "eval/read_ahead.h"
#include "eval/saved_scores.h"
#include "eval/schedule.h"
#include "model/forward.h"
#include "model/kv_cache.h"

namespace carat {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

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
  int64_t longest = 0;
  for (const SuiteItem& item : suite.items) longest = std::max(longest, static_cast<int64_t>(item.tokens.size()) - 1);
  for (const ModelUnderTest& m : request.models)
    TRY(KvCache::check_shape(m.model->config, {longest, std::min(longest, request.max_rows), m.kv}));
  for (const ReferencePair& pair : request.pairs) {
    const auto& a = *request.models[static_cast<size_t>(pair.model)].model;
    const auto& b = *request.models[static_cast<size_t>(pair.reference)].model;
    if (a.config.n_vocab != b.config.n_vocab)
      return fail("{} has {} tokens and {} has {}: their divergence is not defined", a.file.path,
                  a.config.n_vocab, b.file.path, b.config.n_vocab);
  }
  return {};
}

int64_t n_run(const SuiteItem& item) { return static_cast<int64_t>(item.tokens.size()) - 1; }

// Work in units of about a thousand bytes of weights for a token, so that the time it takes is about in proportion.
struct WorkUnits {
  uint64_t layer = 0, head = 0;  // of a token through a layer, of a scored one through the head
};

WorkUnits work_units(const SharedFile& file) {
  uint64_t n_bytes = 0;
  for (const PageGroup& layer : file.pages.layers) n_bytes += layer.n_bytes;
  const auto n_layers = static_cast<uint64_t>(file.model->config.n_layers());
  return {n_bytes / n_layers / 1024 + 1, file.model->weights.output.n_bytes() / 1024 + 1};
}

uint64_t work_of(const LockstepRequest& request, std::span<const SharedFile> files, std::span<const int64_t> items) {
  uint64_t n_tokens = 0, n_scored = 0, work = 0;
  for (const int64_t i : items) {
    n_tokens += static_cast<uint64_t>(n_run(request.suite->items[static_cast<size_t>(i)]));
    n_scored += static_cast<uint64_t>(request.suite->items[static_cast<size_t>(i)].n_scored());
  }
  for (const SharedFile& file : files) {
    const WorkUnits units = work_units(file);
    const uint64_t through = n_tokens * static_cast<uint64_t>(file.model->config.n_layers()) * units.layer;
    work += file.lanes.size() * (through + n_scored * units.head);
  }
  return work;
}

// Tells of progress, from one thread at a time.
class Meter {
 public:
  Meter(const Progress& progress, uint64_t total) : progress_(progress), total_(total) {}
  void add(uint64_t work) {
    const std::lock_guard lock(mutex_);
    done_ += work;
    if (progress_) progress_(done_, total_, "judging");
  }

 private:
  const Progress& progress_;
  uint64_t total_, done_ = 0;
  std::mutex mutex_;
};

// Everything one thread of control needs: engines, hidden states, and scores of its own, which it hands over pass by pass.
class Worker {
 public:
  Worker(const LockstepRequest& request, std::span<const SharedFile> files, const Schedule& schedule, Meter& meter,
         int n_threads)
      : request_(request), files_(files), schedule_(schedule), meter_(meter), pool_(n_threads), n_threads_(n_threads),
        hidden_(request.models.size()),
        scores_(empty_scores(*request.suite, request.models.size(), request.pairs.size())) {}

  Result<void> prepare();
  // Reading rate and time, tried out on a layer of each file and one tile.
  Result<void> try_out(LockstepPlan& plan);
  void read_ahead();
  Result<void> run(std::span<const int64_t> items);

  const LockstepScores& scores() const { return scores_; }
  std::string engine() const { return std::string(backends_.begin()->second->name()); }

 private:
  Result<Forward*> forward_of(const ModelUnderTest& model);
  Result<double> try_layer(const SharedFile& file, size_t lane);
  void begin_step() {
    if (ahead_) ahead_->advance();
  }
  Result<void> run_file(const SharedFile& file, std::span<const int64_t> items);
  TileReduction::Hooks tile_hooks();
  bool is_last_of_file(size_t lane) const {
    return lane + 1 == request_.models.size() || request_.models[lane + 1].model != request_.models[lane].model;
  }
  const SharedFile& file_of(size_t lane) const {
    return *std::find_if(files_.begin(), files_.end(),
                         [&](const SharedFile& f) { return f.model == request_.models[lane].model.get(); });
  }

  const LockstepRequest& request_;
  std::span<const SharedFile> files_;
  const Schedule& schedule_;
  Meter& meter_;
  ThreadPool pool_;
  int n_threads_;
  std::map<Precision, std::unique_ptr<Backend>> backends_;
  std::map<std::pair<const Model*, Precision>, Forward> forwards_;
  std::vector<Forward*> forward_;            // per model
  std::vector<std::vector<float>> hidden_;   // per model: [n_scored, dim] of the pass
  std::optional<TileReduction> reduction_;
  PageGroup heads_;
  std::optional<ReadAhead> ahead_;
  LockstepScores scores_;
};

Result<Forward*> Worker::forward_of(const ModelUnderTest& model) {
  auto& backend = backends_[model.precision];
  if (!backend) backend = TRY(make_cpu_backend({.n_threads = n_threads_, .precision = model.precision}));
  const std::pair key(model.model.get(), model.precision);
  auto at = forwards_.find(key);
  if (at == forwards_.end())
    at = forwards_.emplace(key, TRY(Forward::create(model.model, *backend, ForwardOptions{request_.max_rows}))).first;
  return &at->second;
}

Result<void> Worker::prepare() {
  std::vector<TileLane> lanes;
  for (size_t i = 0; i < request_.models.size(); ++i) {
    forward_.push_back(TRY(forward_of(request_.models[i])));
    lanes.push_back({forward_.back(), &hidden_[i]});
  }
  reduction_.emplace(*request_.suite, std::move(lanes), request_.pairs, schedule_.tile_rows, pool_);
  for (const SharedFile& file : files_) {
    heads_.pieces.insert(heads_.pieces.end(), file.pages.head.pieces.begin(), file.pages.head.pieces.end());
    heads_.n_bytes += file.pages.head.n_bytes;
  }
  return {};
}

void Worker::read_ahead() {
  std::vector<ReadAhead::Step> steps;
  for (size_t f = 0; f < files_.size(); ++f)
    for (size_t l = 0; l < files_[f].pages.layers.size(); ++l)
      steps.push_back({&files_[f].pages.layers[l], schedule_.kept[f][l]});
  steps.push_back({schedule_.heads_kept ? &heads_ : nullptr, true});
  ahead_.emplace(std::move(steps), schedule_.passes.size());
}

// Seconds per token of the first layer, on the first tokens of the first pass.
Result<double> Worker::try_layer(const SharedFile& file, size_t lane) {
  constexpr int64_t kTokens = 128;
  const ModelUnderTest& model = request_.models[lane];
  Forward& forward = *forward_[lane];
  std::vector<TokenRun> parts;
  std::vector<LayerCells> cells;
  std::vector<KvView> views;
  int64_t n_tokens = 0;
  for (const int64_t index : schedule_.passes.front()) {
    const std::vector<Token>& tokens = request_.suite->items[static_cast<size_t>(index)].tokens;
    const int64_t room = std::min(kTokens, request_.max_rows) - n_tokens;
    const int64_t n = std::min(room, static_cast<int64_t>(tokens.size()) - 1);
    if (n <= 0) break;
    parts.push_back({std::span(tokens).first(static_cast<size_t>(n)), 0, n});
    cells.push_back(make_cells(file.model->config.layers.front(), {n, n, model.kv}, forward.backend()));
    views.push_back(cells.back().view);
    n_tokens += n;
  }
  Passage rows = forward.enter(parts);
  const auto start = Clock::now();
  forward.run_layer(rows, 0, views);
  return seconds_since(start) / static_cast<double>(n_tokens);
}

Result<void> Worker::try_out(LockstepPlan& plan) {
  double read_seconds = 0, compute = 0;
  uint64_t n_read = 0;
  for (size_t f = 0; f < files_.size(); ++f) {
    const SharedFile& file = files_[f];
    const PageGroup& first = file.pages.layers.front();
    if (interrupted()) return fail("interrupted");
    first.drop();  // what an earlier program has left in memory says nothing of the disk
    const auto start = Clock::now();
    for (const PageGroup::Piece& piece : first.pieces) piece.file->read_in(piece.bytes);
    read_seconds += seconds_since(start);
    n_read += first.n_bytes;
    uint64_t n_bytes = 0;
    for (const PageGroup& layer : file.pages.layers) n_bytes += layer.n_bytes;
    const double n_layers = first.n_bytes > 0 ? static_cast<double>(n_bytes) / static_cast<double>(first.n_bytes) : 1;
    for (const size_t lane : file.lanes)
      compute += TRY(try_layer(file, lane)) * n_layers * static_cast<double>(plan.n_tokens);
    if (plan.streams() && !schedule_.kept[f].front()) first.drop();
  }
  double n_tiles = 0;
  for (const auto& pass : schedule_.passes) {
    int64_t n = 0;
    for (const int64_t i : pass) n += request_.suite->items[static_cast<size_t>(i)].n_scored();
    n_tiles += static_cast<double>((n + schedule_.tile_rows - 1) / schedule_.tile_rows);
  }
  if (schedule_.heads_kept) {
    for (const PageGroup::Piece& piece : heads_.pieces) piece.file->read_in(piece.bytes);
    compute += n_tiles * reduction_->try_out();
  }
  plan.read_rate = n_read > 0 ? static_cast<double>(n_read) / read_seconds : 0;
  const double reading = n_read > 0 ? static_cast<double>(plan.read_bytes) / plan.read_rate : 0;
  plan.seconds = std::max(compute, reading);
  return {};
}

Result<void> Worker::run_file(const SharedFile& file, std::span<const int64_t> items) {
  const bool streams = schedule_.plan.streams();
  if (streams) {
    std::vector<Token> tokens;
    for (const int64_t i : items) {
      const auto& all = request_.suite->items[static_cast<size_t>(i)].tokens;
      tokens.insert(tokens.end(), all.begin(), all.end());
    }
    ask_for_rows(*file.model, tokens);
  }
  std::vector<LayerMajorLane> lanes;
  for (const size_t lane : file.lanes)
    lanes.push_back({forward_[lane], request_.models[lane].kv, &hidden_[lane]});
  const uint64_t unit = work_units(file).layer;
  bool is_first = true;
  return run_layer_major(*request_.suite, items, lanes, request_.max_rows,
                         {.begin_layer =
                              [&] {
                                // The tokens' rows have been read by now.
                                if (streams && is_first) file.pages.tables.drop();
                                is_first = false;
                                begin_step();
                              },
                          .done = [&](int64_t n_tokens) { meter_.add(static_cast<uint64_t>(n_tokens) * unit); }});
}

// Heads that do not stay are read for each tile.
TileReduction::Hooks Worker::tile_hooks() {
  TileReduction::Hooks hooks;
  hooks.observe = request_.observe;
  hooks.done_tile = [this](int64_t n_rows) {
    uint64_t work = 0;
    for (const SharedFile& file : files_) work += file.lanes.size() * work_units(file).head;
    meter_.add(work * static_cast<uint64_t>(n_rows));
  };
  if (schedule_.heads_kept) return hooks;
  hooks.begin_head = [this](size_t lane) {
    for (const PageGroup::Piece& piece : file_of(lane).pages.head.pieces) piece.file->read_in(piece.bytes);
  };
  hooks.done_head = [this](size_t lane) {
    if (is_last_of_file(lane)) file_of(lane).pages.head.drop();
  };
  return hooks;
}

Result<void> Worker::run(std::span<const int64_t> items) {
  for (const SharedFile& file : files_) TRY(run_file(file, items));
  begin_step();
  return reduction_->run(scored_positions(*request_.suite, items), scores_, tile_hooks());
}

// Hands passes to workers, gathers their scores, keeps the first error, and saves what is done.
class Dispatcher {
 public:
  Dispatcher(const LockstepRequest& request, const Schedule& schedule, const ScoreFacts& facts, SavedScores& saved)
      : request_(request), passes_(schedule.passes), facts_(facts), saved_(saved) {}

  void serve(Worker& worker) {
    while (true) {
      const size_t next = next_.fetch_add(1);
      if (next >= passes_.size() || stop_.load()) return;
      Result<void> result = interrupted() ? Result<void>(fail("interrupted")) : worker.run(passes_[next]);
      const std::lock_guard lock(mutex_);
      if (result) result = take(worker.scores(), passes_[next]);
      if (result) continue;
      stop_.store(true);
      if (!error_ || next < error_at_) error_ = result.take_error(), error_at_ = next;
      return;
    }
  }

  // What is not saved yet is; the first error.
  std::optional<Error> finish() {
    Result<void> saved = n_unsaved_ > 0 ? save() : Result<void>();
    if (!error_ && !saved) error_ = saved.take_error();
    return error_;
  }

 private:
  Result<void> take(const LockstepScores& scores, const std::vector<int64_t>& items) {
    constexpr double kSeconds = 5;  // small passes come faster than a disk should be written
    copy_scores(scores, items, saved_.scores);
    for (const int64_t i : items) saved_.done[static_cast<size_t>(i)] = 1;
    ++n_unsaved_;
    return seconds_since(last_) < kSeconds ? Result<void>() : save();
  }

  Result<void> save() {
    if (request_.saved_path.empty()) return {};
    n_unsaved_ = 0;
    last_ = Clock::now();
    return save_scores(request_.saved_path, facts_, saved_);
  }

  const LockstepRequest& request_;
  const std::vector<std::vector<int64_t>>& passes_;
  const ScoreFacts& facts_;
  SavedScores& saved_;
  std::atomic<size_t> next_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  int n_unsaved_ = 0;
  Clock::time_point last_ = Clock::now();
  std::optional<Error> error_;
  size_t error_at_ = 0;
};

int choose_workers(const LockstepRequest& request, const Schedule& schedule) {
  if (request.observe || schedule.plan.streams()) return 1;
  const int n_passes = static_cast<int>(std::min<size_t>(schedule.passes.size(), 1 << 20));
  const int wanted = request.n_workers > 0 ? request.n_workers : schedule.small ? request.n_threads : 1;
  return std::clamp(std::min(wanted, n_passes), 1, request.n_threads);
}

// Whatever scores depend on. Sums run in another order on another instruction set.
ScoreFacts facts_of(const LockstepRequest& request, const std::string& engine) {
  ScoreFacts facts;
  facts.emplace_back("suite", fmt::format("{:016x}", request.suite->hash()));
  facts.emplace_back("engine", engine.substr(0, engine.find(',')));
  facts.emplace_back("number of models", fmt::format("{}", request.models.size()));
  for (size_t i = 0; i < request.models.size(); ++i) {
    const ModelUnderTest& m = request.models[i];
    facts.emplace_back(fmt::format("file {}", i + 1), m.fingerprint);
    facts.emplace_back(fmt::format("cache {}", i + 1), type_name(m.kv));
    facts.emplace_back(fmt::format("arithmetic {}", i + 1), m.precision == Precision::exact ? "exact" : "fast");
  }
  std::string pairs;
  for (const ReferencePair& pair : request.pairs) pairs += fmt::format(" {}:{}", pair.model, pair.reference);
  facts.emplace_back("pairs", pairs);
  if (request.n_shares > 1) facts.emplace_back("share", fmt::format("{} of {}", request.share + 1, request.n_shares));
  return facts;
}

// The same without what ranks may differ in.
ScoreFacts shared_facts(const LockstepRequest& request) {
  ScoreFacts facts = facts_of(request, "");
  std::erase_if(facts, [](const auto& fact) { return fact.first == "share" || fact.first == "engine"; });
  return facts;
}

// Items of one share. Neighbours are of different kinds and lengths, so every share has its part of each.
std::vector<int64_t> items_of(const LockstepRequest& request, int share) {
  std::vector<int64_t> items;
  for (size_t i = static_cast<size_t>(share); i < request.suite->items.size(); i += static_cast<size_t>(request.n_shares))
    items.push_back(static_cast<int64_t>(i));
  return items;
}

std::vector<int64_t> items_left(const LockstepRequest& request, const std::vector<uint8_t>& done) {
  std::vector<int64_t> items = items_of(request, request.share);
  std::erase_if(items, [&](int64_t i) { return done[static_cast<size_t>(i)] != 0; });
  return items;
}

}  // namespace

Result<LockstepScores> run_lockstep(const LockstepRequest& request) {
  CHECK(request.suite != nullptr && request.n_threads >= 1 && request.max_rows >= 1);
  CHECK(!request.observe || request.saved_path.empty());
  CHECK(request.share >= 0 && request.share < request.n_shares);
  TRY(check_request(request));
  SavedScores saved{std::vector<uint8_t>(request.suite->items.size(), 0),
                    empty_scores(*request.suite, request.models.size(), request.pairs.size())};
  const auto backend = TRY(make_cpu_backend({.n_threads = 1}));
  const ScoreFacts facts = facts_of(request, std::string(backend->name()));
  if (!request.saved_path.empty()) TRY(load_scores(request.saved_path, facts, saved));
  const std::vector<int64_t> items = items_left(request, saved.done);
  if (items.empty()) return std::move(saved.scores);

  const std::vector<SharedFile> files = shared_files(request.models);
  Schedule schedule = TRY(make_schedule(request, files, items));
  schedule.plan.n_items_saved = std::ranges::count(saved.done, 1);
  Meter meter(request.progress, work_of(request, files, items));
  std::vector<std::unique_ptr<Worker>> workers;
  const int n_workers = choose_workers(request, schedule);
  for (int w = 0; w < n_workers; ++w) {
    const int n_threads = request.n_threads * (w + 1) / n_workers - request.n_threads * w / n_workers;
    workers.push_back(std::make_unique<Worker>(request, files, schedule, meter, n_threads));
    TRY(workers.back()->prepare());
  }
  if (request.on_plan) {
    if (!schedule.small) TRY(workers.front()->try_out(schedule.plan));
    request.on_plan(schedule.plan);
  }
  if (n_workers == 1 && (!schedule.small || schedule.plan.streams())) workers.front()->read_ahead();

  Dispatcher dispatcher(request, schedule, facts, saved);
  {
    std::vector<std::jthread> threads;
    for (size_t w = 1; w < workers.size(); ++w)
      threads.emplace_back([&dispatcher, worker = workers[w].get()] { dispatcher.serve(*worker); });
    dispatcher.serve(*workers.front());
  }
  if (const auto error = dispatcher.finish()) return *error;
  return std::move(saved.scores);
}

Result<LockstepScores> join_shares(const LockstepRequest& request, LockstepScores scores, const Ranks& ranks) {
  if (ranks.n() == 1) return scores;
  CHECK(request.share == ranks.index() && request.n_shares == ranks.n());
  // What must be the same at all ranks: everything but their share. Engines differ where machines do, by design.
  const auto bytes_of = [&](const LockstepScores& of) {
    return scores_to_bytes(shared_facts(request), {std::vector<uint8_t>(request.suite->items.size(), 1), of});
  };
  const std::vector<std::string> all = TRY(ranks.exchange(bytes_of(scores)));
  for (int rank = 0; rank < ranks.n(); ++rank) {
    if (rank == ranks.index()) continue;
    SavedScores theirs{std::vector<uint8_t>(request.suite->items.size(), 0),
                       empty_scores(*request.suite, request.models.size(), request.pairs.size())};
    TRY(parse_scores(std::as_bytes(std::span(all[static_cast<size_t>(rank)])), fmt::format("rank {} of mpirun", rank),
                     shared_facts(request), theirs));
    copy_scores(theirs.scores, items_of(request, rank), scores);
  }
  return scores;
}

}  // namespace carat
