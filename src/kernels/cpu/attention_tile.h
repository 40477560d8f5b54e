// One tile of attention: a few query rows of one sequence with query heads that share a KV head, so that each
// key and value is loaded once for all of them.
//
// Positions are taken in spans of kSpan, cut at its multiples. A span is computed as if it stood alone: its
// scores, its softmax, its weighted sum of values. The spans of a query are then put together in the order of
// positions. So whatever computes a span, and wherever the ring wraps, the bits are the same, and only a
// span's scores are in memory.
#pragma once

#include <cstdint>

#include "kernels/backend.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/key_angles.h"
#include "kernels/cpu/scratch.h"

namespace carat {

struct AttentionCall {
  const KernelTable* kernels;
  AttentionShape shape;
  const float* q;
  float* out;
  Precision precision;
  const KeyAngles* angles;  // for caches without keys
};

constexpr int64_t kSpan = 256;       // positions
constexpr int64_t kMaxQueries = 32;  // of a tile, unless a row alone has more

// Rows [row, row + n_rows) of a segment; heads [head, head + n_heads) of the model, which read KV head
// kv_head.
struct AttentionTile {
  const Segment* segment;
  int64_t row, n_rows;
  int64_t kv_head, head, n_heads;
  int64_t from, to;  // positions that any of its rows sees
  int64_t first_unit = 0,
          first_float = 0;  // of its spans among those of all tiles, where spans are dealt out

  int64_t n_queries() const { return n_rows * n_heads; }  // query = row in tile * n_heads + head in tile
  int64_t first_span() const { return from / kSpan; }
  int64_t n_spans() const { return (to + kSpan - 1) / kSpan - first_span(); }
};

// The first position that a query at `position` sees.
inline int64_t first_visible(const AttentionShape& shape, int64_t position) {
  return shape.window > 0 && position >= shape.window ? position - shape.window + 1 : 0;
}

// Values weighted by exp(score - largest), and the weights' sum; total 0: nothing was seen.
struct PartialSums {
  float* sums;     // [n_queries, head_dim]
  float* largest;  // [n_queries]
  float* totals;   // [n_queries]

  static PartialSums carve(Carver& carver, int64_t n_queries, int64_t head_dim);
};

// acc = acc and part together, for one query; acc's positions come before part's.
void merge(const KernelTable& kernels, const PartialSums& part, int64_t query, int64_t head_dim,
           const PartialSums& acc);

// Writes one query's result: its sums divided by its total.
void finish(const AttentionCall& call, const AttentionTile& tile, int64_t query, const PartialSums& acc);

class TileWorker {
 public:
  // Takes its memory from the scratch: one worker of it at a time.
  TileWorker(const AttentionCall& call, const AttentionTile& tile, Scratch& scratch);

  // The result of span number `span` (of all positions), which the tile sees some of.
  void attend(int64_t span, const PartialSums& part);
  // All spans, into the call's `out`.
  void attend_all();

 private:
  // Where scores come from.
  enum class Keys {
    stored,   // as the cache has them
    rebuilt,  // from the values: normed, turned
    split,  // the same for pairs that turn; elsewhere the norm goes into the query and the values are read as
            // they lie
  };
  struct Run;

  Keys choose_keys() const;
  void carve(Carver& carver);
  void take_queries();
  void split_queries();
  int64_t row_offset(TensorType type, int64_t element) const;
  Run decoded(const Run& run, const float* norm) const;
  template <class Body>
  void each_run(const std::byte* cells, TensorType type, int64_t most, int64_t from, int64_t to,
                const Body& body) const;
  void to_keys(int64_t n, int64_t width, const float* norm) const;
  void take_scores(int64_t from, int64_t to);
  void score(const Run& run, float* scores) const;
  void add_turned_scores(int64_t from, int64_t to);
  void weigh_values(int64_t from, int64_t to, float* sums) const;
  void weigh_run(const Run& run, float* sums) const;
  void weigh(const Run& run, int64_t query, int64_t n, int64_t from, int64_t to, float* sums) const;

  const AttentionCall& call_;
  const AttentionTile& tile_;
  const KernelTable& kernels_;
  const KvView& kv_;
  int64_t dim_, n_queries_;
  int64_t position_;  // of the tile's first row
  int64_t span_begin_ = 0;
  Keys keys_;
  int64_t n_turning_ = 0;  // pairs of a head that turn
  int int8_format_;        // integer kernel for scores with keys as they lie, or -1
  // Memory.
  float* q_ = nullptr;        // [n_queries, head_dim]; where keys are split, normed, and 0 where pairs turn
  float* turning_ = nullptr;  // [n_queries, 2 n_turning], the turning pairs of split queries
  float* turning_norm_ = nullptr;  // [2 n_turning]
  float* scores_ = nullptr;        // [n_queries, kSpan]
  float* turned_scores_ = nullptr;
  float* decoded_ = nullptr;  // keys or values
  std::byte* rounded_memory_ = nullptr;
  std::byte* int8_scratch_ = nullptr;
  Int8Rows rounded_{};
  PartialSums part_{}, sums_{};
};

}  // namespace carat
