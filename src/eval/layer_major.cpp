// Batches, streams and short-lived caches behind layer_major.h.
#include "eval/layer_major.h"

#include <algorithm>
#include <map>

#include "base/progress.h"
#include "model/kv_cache.h"

namespace carat {
namespace {

// Consecutive tokens of one item within a call.
struct Piece {
  size_t slot;         // which of the pass's items
  int64_t begin, end;  // token positions
};
using Batch = std::vector<Piece>;

const SuiteItem& item_at(const Suite& suite, int64_t index) { return suite.items[static_cast<size_t>(index)]; }

// The last token predicts nothing that is known.
int64_t n_run(const SuiteItem& item) { return static_cast<int64_t>(item.tokens.size()) - 1; }

// Calls of exactly max_rows rows, but for the last: items are cut where a call is full.
std::vector<Batch> cut_into_batches(const Suite& suite, std::span<const int64_t> items, int64_t max_rows) {
  std::vector<Batch> batches;
  int64_t room = 0;
  for (size_t slot = 0; slot < items.size(); ++slot)
    for (int64_t begin = 0, n = n_run(item_at(suite, items[slot])); begin < n;) {
      if (room == 0) {
        batches.emplace_back();
        room = max_rows;
      }
      const int64_t end = std::min(n, begin + room);
      batches.back().push_back({slot, begin, end});
      room -= end - begin;
      begin = end;
    }
  return batches;
}

// The last layer that reads what layer `source` writes.
int last_reader(const Config& config, int source) {
  int last = source;
  for (int i = source; i < config.n_layers(); ++i)
    if (config.layers[static_cast<size_t>(i)].kv_source == source) last = i;
  return last;
}

KvCache::Shape shape_of(int64_t n_tokens, int64_t max_rows, KvType kv) {
  return {n_tokens, std::min(n_tokens, max_rows), kv};
}

// One lane on its way through the layers.
class Walk {
 public:
  Walk(const Suite& suite, std::span<const int64_t> items, std::span<const Batch> batches, const LayerMajorLane& lane,
       int64_t max_rows)
      : suite_(suite), items_(items), batches_(batches), lane_(lane), config_(lane.forward->model().config),
        max_rows_(max_rows) {}

  void enter(const Batch& batch) {
    std::vector<TokenRun> parts;
    for (const Piece& piece : batch) {
      const SuiteItem& item = item_at(suite_, items_[piece.slot]);
      const int64_t n = piece.end - piece.begin;
      const int64_t n_wanted = std::clamp<int64_t>(piece.end - (item.first_scored - 1), 0, n);
      parts.push_back({std::span(item.tokens).subspan(static_cast<size_t>(piece.begin), static_cast<size_t>(n)),
                       piece.begin, n_wanted});
    }
    passages_.push_back(lane_.forward->enter(parts));
  }

  // What the layer writes comes to be …
  void open_layer(int layer) {
    if (!config_.owns_kv(layer)) return;
    std::vector<LayerCells>& cells = cells_[layer];
    for (const int64_t item : items_)
      cells.push_back(make_cells(config_.layers[static_cast<size_t>(layer)],
                                 shape_of(n_run(item_at(suite_, item)), max_rows_, lane_.kv),
                                 lane_.forward->backend()));
  }

  // Tokens of the batch, although some of its rows may be gone.
  int64_t run(size_t batch, int layer) {
    const std::vector<LayerCells>& cells = cells_.at(config_.layers[static_cast<size_t>(layer)].kv_source);
    views_.clear();
    int64_t n_tokens = 0;
    for (const Piece& piece : batches_[batch]) {
      views_.push_back(cells[piece.slot].view);
      n_tokens += piece.end - piece.begin;
    }
    lane_.forward->run_layer(passages_[batch], layer, views_);
    return n_tokens;
  }

  // … and goes with its last reader.
  void close_layer(int layer) {
    std::erase_if(cells_, [&](const auto& entry) { return last_reader(config_, entry.first) <= layer; });
  }

  void leave() {
    lane_.hidden->clear();
    for (Passage& passage : passages_) {
      const std::span<const float> hidden = lane_.forward->leave(passage);
      lane_.hidden->insert(lane_.hidden->end(), hidden.begin(), hidden.end());
      const Passage gone = std::move(passage);
    }
    passages_.clear();
  }

 private:
  const Suite& suite_;
  std::span<const int64_t> items_;
  std::span<const Batch> batches_;
  LayerMajorLane lane_;
  const Config& config_;
  int64_t max_rows_;
  std::vector<Passage> passages_;                  // per batch
  std::map<int, std::vector<LayerCells>> cells_;   // per layer whose cells live: per slot
  std::vector<KvView> views_;
};

}  // namespace

std::vector<ScoredPosition> scored_positions(const Suite& suite, std::span<const int64_t> items) {
  std::vector<ScoredPosition> rows;
  for (const int64_t index : items) {
    const SuiteItem& item = item_at(suite, index);
    for (int64_t position = item.first_scored - 1; position < n_run(item); ++position)
      rows.push_back({index, position});
  }
  return rows;
}

Result<void> run_layer_major(const Suite& suite, std::span<const int64_t> items, std::span<const LayerMajorLane> lanes,
                             int64_t max_rows, const LayerMajorHooks& hooks) {
  const std::vector<Batch> batches = cut_into_batches(suite, items, max_rows);
  std::vector<Walk> walks;
  for (const LayerMajorLane& lane : lanes) {
    walks.emplace_back(suite, items, batches, lane, max_rows);
    for (const Batch& batch : batches) walks.back().enter(batch);
  }
  const int n_layers = lanes.front().forward->model().config.n_layers();
  for (int layer = 0; layer < n_layers; ++layer) {
    if (hooks.begin_layer) hooks.begin_layer();
    for (Walk& walk : walks) {
      walk.open_layer(layer);
      for (size_t batch = 0; batch < batches.size(); ++batch) {
        if (interrupted()) return fail("interrupted");
        const int64_t n_tokens = walk.run(batch, layer);
        if (hooks.done) hooks.done(n_tokens);
      }
      walk.close_layer(layer);
    }
  }
  for (Walk& walk : walks) walk.leave();
  return {};
}

int64_t layer_major_bytes(const Config& config, KvType kv, int64_t n_tokens, int64_t max_rows) {
  const KvCache::Shape shape = shape_of(n_tokens, max_rows, kv);
  int64_t most = 0;
  for (int layer = 0; layer < config.n_layers(); ++layer) {
    int64_t live = 0;
    for (int source = 0; source <= layer; ++source)
      if (config.owns_kv(source) && last_reader(config, source) >= layer)
        live += cells_bytes(config.layers[static_cast<size_t>(source)], shape);
    most = std::max(most, live);
  }
  const int64_t stream = 4 * (config.dim + config.per_layer_dim * config.n_layers()) + 64;
  return most + n_tokens * stream + KvCache::angle_bytes(config, shape);
}

}  // namespace carat
