// Memory arithmetic behind schedule.h.
#include "eval/schedule.h"

#include <algorithm>
#include <set>
#include <string>

#include "base/machine.h"
#include "base/memory.h"
#include "eval/layer_major.h"
#include "model/memory_budget.h"

namespace carat {
namespace {

constexpr uint64_t kCachedBytes = uint64_t{64} << 20;
constexpr int64_t kTileBytes = int64_t{16} << 20;  // logits of one model and tile
constexpr int64_t kMostTileRows = 256;
// Enough that arithmetic takes longer than reading on any machine with a disk for such files; more would only lose more
// to an interruption.
constexpr int64_t kPassTokens = 4096;
constexpr int64_t kSlack = int64_t{32} << 20;  // page tables, stacks, the allocator's own

const SuiteItem& item_at(const LockstepRequest& request, int64_t index) {
  return request.suite->items[static_cast<size_t>(index)];
}

int64_t n_run(const SuiteItem& item) { return static_cast<int64_t>(item.tokens.size()) - 1; }

int64_t table_bytes(const SharedFile& file, int64_t n_tokens) {
  return static_cast<int64_t>(table_row_bytes(*file.model, static_cast<uint64_t>(n_tokens)));
}

std::string gigabytes(int64_t n) { return fmt::format("{:.2f}", static_cast<double>(n) / 1e9); }

// Bytes by what they are for.
class Needs {
 public:
  Needs(const LockstepRequest& request, std::span<const SharedFile> files) : request_(request), files_(files) {
    for (const ModelUnderTest& m : request.models) n_vocab_.push_back(m.model->config.n_vocab);
    for (const SharedFile& file : files) {
      for (const PageGroup& layer : file.pages.layers) {
        largest_layer = std::max(largest_layer, static_cast<int64_t>(layer.n_bytes));
        layers += static_cast<int64_t>(layer.n_bytes);
      }
      largest_head = std::max(largest_head, static_cast<int64_t>(file.pages.head.n_bytes));
      heads += static_cast<int64_t>(file.pages.head.n_bytes);
      others += static_cast<int64_t>(file.pages.other_bytes);
    }
  }

  int64_t tiles(int64_t tile_rows) const { return TileReduction::bytes_needed(n_vocab_, request_.pairs, tile_rows); }

  int64_t largest_vocab() const { return *std::max_element(n_vocab_.begin(), n_vocab_.end()); }

  // Scratch of the engines.
  int64_t engines() const {
    int64_t n = 0;
    for (const SharedFile& file : files_) {
      std::set<Precision> precisions;
      for (const size_t lane : file.lanes) precisions.insert(request_.models[lane].precision);
      n = saturating_add(n, saturating_multiply(static_cast<int64_t>(precisions.size()),
                                                Forward::bytes_needed(file.model->config, request_.max_rows)));
    }
    return n;
  }

  // What an item adds to a pass: its streams in the file that takes most, and its hidden states in all of them.
  int64_t item(int64_t index) const {
    const SuiteItem& item = item_at(request_, index);
    int64_t on_the_way = 0, hidden = 0;
    for (const SharedFile& file : files_) {
      const Config& config = file.model->config;
      auto n = static_cast<int64_t>(table_row_bytes(*file.model, static_cast<uint64_t>(n_run(item))));
      for (const size_t lane : file.lanes) {
        n += layer_major_bytes(config, request_.models[lane].kv, n_run(item), request_.max_rows);
        hidden += 4 * config.dim * item.n_scored();
      }
      on_the_way = std::max(on_the_way, n);
    }
    return on_the_way + hidden;
  }

  int64_t layers = 0, heads = 0, others = 0;
  int64_t largest_layer = 0, largest_head = 0;

 private:
  const LockstepRequest& request_;
  std::span<const SharedFile> files_;
  std::vector<int64_t> n_vocab_;
};

struct Passes {
  std::vector<std::vector<int64_t>> items;
  int64_t most_bytes = 0;
};

// As many items as pass_tokens and `bytes` allow, at least one.
Passes cut_into_passes(const LockstepRequest& request, const Needs& needs, std::span<const int64_t> items,
                       int64_t pass_tokens, int64_t bytes) {
  Passes passes;
  int64_t n_tokens = 0, n_bytes = 0;
  for (const int64_t index : items) {
    const int64_t n = n_run(item_at(request, index)), cost = needs.item(index);
    if (passes.items.empty() || n_tokens + n > pass_tokens || n_bytes + cost > bytes) {
      passes.items.emplace_back();
      n_tokens = n_bytes = 0;
    }
    passes.items.back().push_back(index);
    n_tokens += n, n_bytes += cost;
    passes.most_bytes = std::max(passes.most_bytes, n_bytes);
  }
  return passes;
}

// Keeps layers while there is room, in the order in which they are used.
int64_t keep_layers(std::span<const SharedFile> files, int64_t room, std::vector<std::vector<bool>>& kept) {
  int64_t n_kept = 0;
  for (size_t f = 0; f < files.size(); ++f)
    for (size_t l = 0; l < files[f].pages.layers.size(); ++l) {
      const auto n = static_cast<int64_t>(files[f].pages.layers[l].n_bytes);
      if (n_kept + n > room) continue;
      kept[f][l] = true;
      n_kept += n;
    }
  return n_kept;
}

int64_t allowed_memory(const LockstepRequest& request) {
  if (request.memory_bytes > 0) return request.memory_bytes;
  const int64_t available = available_memory_bytes();
  return available - available / 16;  // others live here, too
}

void count_reads(const LockstepRequest& request, std::span<const SharedFile> files, const Needs& needs,
                 Schedule& schedule) {
  LockstepPlan& plan = schedule.plan;
  const uint64_t n_passes = schedule.passes.size();
  uint64_t n_tiles = 0, n_scored = 0;
  for (const auto& pass : schedule.passes) {
    uint64_t n = 0;
    for (const int64_t i : pass) n += static_cast<uint64_t>(item_at(request, i).n_scored());
    n_scored += n;
    n_tiles += (n + static_cast<uint64_t>(schedule.tile_rows) - 1) / static_cast<uint64_t>(schedule.tile_rows);
  }
  for (size_t f = 0; f < files.size(); ++f)
    for (size_t l = 0; l < files[f].pages.layers.size(); ++l) {
      const uint64_t n = files[f].pages.layers[l].n_bytes;
      if (schedule.kept[f][l]) plan.kept_bytes += n, plan.read_bytes += n;
      if (!schedule.kept[f][l]) plan.pass_bytes += n, plan.read_bytes += n * n_passes;
    }
  const auto heads = static_cast<uint64_t>(needs.heads);
  if (schedule.heads_kept) plan.kept_bytes += heads, plan.read_bytes += heads;
  if (!schedule.heads_kept) plan.pass_bytes += heads * n_tiles / n_passes, plan.read_bytes += heads * n_tiles;
  plan.kept_bytes += static_cast<uint64_t>(needs.others), plan.read_bytes += static_cast<uint64_t>(needs.others);
  for (const SharedFile& file : files) plan.read_bytes += static_cast<uint64_t>(table_bytes(file, plan.n_tokens));
}

}  // namespace

std::vector<SharedFile> shared_files(std::span<const ModelUnderTest> models) {
  std::vector<SharedFile> files;
  for (size_t lane = 0; lane < models.size(); ++lane) {
    const Model* model = models[lane].model.get();
    auto at = std::find_if(files.begin(), files.end(), [&](const SharedFile& f) { return f.model == model; });
    if (at == files.end()) at = files.insert(files.end(), {model, {}, pages_of(*model)});
    at->lanes.push_back(lane);
  }
  return files;
}

Result<Schedule> make_schedule(const LockstepRequest& request, std::span<const SharedFile> files,
                               std::span<const int64_t> items) {
  const Needs needs(request, files);
  Schedule schedule;
  LockstepPlan& plan = schedule.plan;
  plan.n_files = files.size(), plan.n_models = request.models.size();
  int64_t costliest = 0;
  for (const int64_t i : items) {
    plan.n_tokens += n_run(item_at(request, i));
    costliest = std::max(costliest, needs.item(i));
  }
  schedule.small = std::all_of(files.begin(), files.end(),
                               [](const SharedFile& f) { return f.model->weight_bytes() <= kCachedBytes; });
  for (const SharedFile& file : files) schedule.kept.emplace_back(file.pages.layers.size(), true);
  schedule.tile_rows = std::clamp<int64_t>(kTileBytes / 4 / needs.largest_vocab(), 16, kMostTileRows);
  int64_t tables = 0;
  for (const SharedFile& file : files)
    tables += table_bytes(file, plan.n_tokens);

  const int64_t usual_tokens = schedule.small ? request.max_rows : kPassTokens;
  const int64_t pass_tokens = request.pass_tokens > 0 ? request.pass_tokens : usual_tokens;
  const int64_t fixed = static_cast<int64_t>(anonymous_bytes()) + kSlack +
                        saturating_add(needs.engines(), needs.tiles(schedule.tile_rows)) + needs.others;
  plan.memory_allowed = allowed_memory(request);
  const int64_t room = plan.memory_allowed - fixed;  // may be negative

  Passes passes = cut_into_passes(request, needs, items, pass_tokens, INT64_MAX);
  const bool all_fits = request.keep_weights && passes.most_bytes + needs.layers + needs.heads + tables <= room;
  // The heads are needed for every tile, so they are the first to stay.
  const int64_t two_layers = 2 * needs.largest_layer;
  const auto least = [&](bool heads_stay) {
    return heads_stay ? two_layers + needs.heads : std::max(two_layers, needs.largest_head);
  };
  plan.memory_least = saturating_add(fixed, costliest + std::min(least(true), least(false)));
  if (!all_fits) {
    if (plan.memory_least > plan.memory_allowed)
      return fail("{} GB of memory are allowed, expected at least {}: {} for the program and its scratch, {} for the "
                  "weights of two layers, {} for the item that takes most",
                  gigabytes(plan.memory_allowed), gigabytes(plan.memory_least), gigabytes(fixed),
                  gigabytes(least(false)), gigabytes(costliest));
    schedule.heads_kept =
        request.keep_weights && least(true) + costliest <= room && needs.heads <= (room - two_layers) / 2;
    const int64_t for_both = room - least(schedule.heads_kept);  // streams, and weights that stay
    passes = cut_into_passes(request, needs, items, pass_tokens, std::max(costliest, for_both * 3 / 4));
    int64_t left = for_both - passes.most_bytes;
    if (!schedule.heads_kept) {
      // Heads are read for every tile: the larger the tiles, the less.
      const int64_t row = needs.tiles(1);
      const int64_t n_more = std::clamp<int64_t>(left / row, 0, kMostTileRows - schedule.tile_rows);
      schedule.tile_rows += n_more;
      left -= n_more * row;
    }
    for (auto& layers : schedule.kept) layers.assign(layers.size(), false);
    if (request.keep_weights) keep_layers(files, left, schedule.kept);
  }
  schedule.passes = std::move(passes.items);
  plan.n_passes = schedule.passes.size();
  plan.scratch_bytes = passes.most_bytes + needs.engines() + needs.tiles(schedule.tile_rows);
  plan.weight_bytes = static_cast<uint64_t>(needs.layers + needs.heads + needs.others);
  if (plan.n_passes > 0) count_reads(request, files, needs, schedule);
  return schedule;
}

}  // namespace carat
