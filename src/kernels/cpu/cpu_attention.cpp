// Cuts attention over the caches of several sequences into tiles and deals them to threads. Where there are
// fewer tiles than keep all threads busy, as when decoding, their spans are dealt out as well, and where a
// cell holds several heads, all heads of a span are read before the next one; the bits are the same.
#include <algorithm>
#include <optional>

#include "kernels/cpu/cpu_backend.h"

namespace carat {
namespace {

constexpr int64_t kMaxPartialFloats = 1 << 23;  // of spans that wait for each other: 32 MiB

// Tiles of all segments; each KV head's queries in n_parts tiles.
void cut(std::span<const Segment> segments, const AttentionShape& shape, int64_t n_parts,
         std::vector<AttentionTile>& tiles) {
  const int64_t group = shape.n_heads / shape.n_kv_heads,
                rows_per_tile = std::max<int64_t>(1, kMaxQueries / group);
  tiles.clear();
  for (const Segment& segment : segments)
    for (int64_t row = 0; row < segment.n_rows; row += rows_per_tile)
      for (int64_t kv_head = 0; kv_head < shape.n_kv_heads; ++kv_head)
        for (int64_t part = 0; part < n_parts; ++part) {
          const int64_t begin = group * part / n_parts, end = group * (part + 1) / n_parts;
          const int64_t n_rows = std::min(rows_per_tile, segment.n_rows - row),
                        position = segment.position + row;
          tiles.push_back({&segment, row, n_rows, kv_head, kv_head * group + begin, end - begin,
                           first_visible(shape, position), position + n_rows});
        }
}

int64_t partial_floats(const AttentionTile& tile, int64_t head_dim) {
  Carver count(nullptr);
  PartialSums::carve(count, tile.n_queries(), head_dim);
  return static_cast<int64_t>(count.n_bytes() / sizeof(float));
}

}  // namespace

void CpuBackend::attention(std::span<const Segment> segments, const AttentionShape& shape, const float* q,
                           float* out) {
  const InUse in_use(in_use_);
  CHECK(shape.n_kv_heads > 0 && shape.n_heads % shape.n_kv_heads == 0);
  cut(segments, shape, 1, tiles_);
  AttentionCall call{&kernels_, shape, q, out, precision_, nullptr};
  int64_t n_spans = 0, n_floats = 0, n_rebuilt = 0;
  for (AttentionTile& tile : tiles_) {
    tile.first_unit = n_spans, tile.first_float = n_floats;
    n_spans += tile.n_spans();
    n_floats += tile.n_spans() * partial_floats(tile, shape.head_dim);
    if (tile.segment->kv.k == nullptr) n_rebuilt = std::max(n_rebuilt, tile.to);
  }
  if (n_rebuilt > 0) {
    CHECK(shape.key_rule != nullptr && shape.head_dim % 2 == 0);
    key_angles_.grow(shape.key_rule->rope->inverse_frequency, n_rebuilt, pool_);
    call.angles = &key_angles_;
  }
  const int64_t n_wanted = 2 * pool_.size();  // pieces that keep the threads about equally busy
  // A few rows are bound by memory, which brings whole pages of cells: the other heads of a span come along.
  const bool heads_together =
      shape.n_kv_heads > 1 && std::ranges::all_of(tiles_, [&](const AttentionTile& tile) {
        return tile.n_rows == tile.segment->n_rows;
      });
  const bool few_tiles = pool_.size() > 1 && static_cast<int64_t>(tiles_.size()) < n_wanted;
  if ((few_tiles || heads_together) && n_spans >= n_wanted && n_floats <= kMaxPartialFloats)
    return attend_split(call, n_spans, n_floats);
  if (!few_tiles) return attend_whole(call);
  const int64_t n_pairs = std::max<int64_t>(1, static_cast<int64_t>(tiles_.size()));
  cut(segments, shape, std::clamp<int64_t>(pool_.size() / n_pairs, 1, shape.n_heads / shape.n_kv_heads),
      tiles_);
  attend_whole(call);
}

void CpuBackend::attend_whole(const AttentionCall& call) {
  share(static_cast<int64_t>(tiles_.size()), [&](int64_t begin, int64_t end, int thread) {
    for (int64_t i = begin; i < end; ++i)
      TileWorker(call, tiles_[static_cast<size_t>(i)], scratch_[static_cast<size_t>(thread)]).attend_all();
  });
}

// Every span by itself, then each query's spans together. Units are the spans of all tiles; those of one
// sequence's rows take turns head by head.
void CpuBackend::attend_split(const AttentionCall& call, int64_t n_spans, int64_t n_floats) {
  const int64_t dim = call.shape.head_dim, n_heads = call.shape.n_kv_heads;
  float* memory = partial_scratch_.get<float>(static_cast<size_t>(n_floats));
  const auto partial = [&](const AttentionTile& tile, int64_t span) {
    const int64_t place = tile.first_float + (span - tile.first_span()) * partial_floats(tile, dim);
    Carver carver(reinterpret_cast<std::byte*>(memory + place));
    return PartialSums::carve(carver, tile.n_queries(), dim);
  };
  share(n_spans, [&](int64_t begin, int64_t end, int thread) {
    for (size_t i = 0; i < tiles_.size(); i += static_cast<size_t>(n_heads)) {
      const AttentionTile* heads = &tiles_[i];
      const int64_t first = heads->first_unit, to = std::min(end, first + n_heads * heads->n_spans());
      std::optional<TileWorker> worker;
      for (int64_t unit = std::max(begin, first); unit < to; ++unit) {
        const AttentionTile& tile = heads[(unit - first) % n_heads];
        const int64_t span = tile.first_span() + (unit - first) / n_heads;
        if (!worker || n_heads > 1) worker.emplace(call, tile, scratch_[static_cast<size_t>(thread)]);
        worker->attend(span, partial(tile, span));
      }
    }
  });
  int64_t n_queries = 0;
  for (const AttentionTile& tile : tiles_) n_queries += tile.n_queries();
  share(n_queries, [&](int64_t begin, int64_t end, int) {
    int64_t first_query = 0;
    for (const AttentionTile& tile : tiles_) {
      const int64_t from = std::max(begin - first_query, int64_t{0}),
                    to = std::min(end - first_query, tile.n_queries());
      first_query += tile.n_queries();
      if (from >= to) continue;
      const int64_t first = tile.first_span();
      const PartialSums sums = partial(tile, first);
      for (int64_t query = from; query < to; ++query) {
        for (int64_t span = first + 1; span < first + tile.n_spans(); ++span)
          merge(kernels_, partial(tile, span), query, dim, sums);
        finish(call, tile, query, sums);
      }
    }
  });
}

}  // namespace carat
