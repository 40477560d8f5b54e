// Attention over the caches of several sequences. A tile of work is a few query rows of one segment with
// query heads that share a KV head, so each key and value is loaded once for all of them. Scores are taken in
// the order of positions and values are added in that order for each row by itself: where the ring wraps, and
// how a prompt was cut, cannot be seen in the result.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/cpu_backend.h"
#include "quant/codec.h"

namespace carat {

struct AttentionCall {
  AttentionShape shape;
  const float* q;
  float* out;
};

namespace {

constexpr int64_t kMaxQueries = 32;      // of a tile
constexpr int64_t kMaxScores = 1 << 20;  // of a tile: 4 MiB
constexpr int64_t kRunPositions = 128;   // keys or values taken at once; they stay in the second-level cache

int64_t first_visible(const AttentionShape& shape, int64_t position) {
  return shape.window > 0 && position >= shape.window ? position - shape.window + 1 : 0;
}

// Positions [from, from + n) of one KV head, `stride` bytes apart.
struct KvRun {
  int64_t from, n;
  const std::byte* data;
  int64_t stride;
  TensorType type;  // F32, F16 or BF16
};

bool is_float(TensorType type) {
  return type == TensorType::F32 || type == TensorType::F16 || type == TensorType::BF16;
}

// Calls body(KvRun) for positions [from, to) in order. Types without a kernel are decoded into `decoded`
// [kRunPositions, head_dim].
template <class Body>
void each_run(const KvView& kv, const std::byte* cells, const AttentionShape& shape, int64_t kv_head,
              int64_t from, int64_t to, float* decoded, const Body& body) {
  const int64_t dim = shape.head_dim,
                stride = static_cast<int64_t>(row_bytes(kv.type, shape.n_kv_heads * dim));
  const int64_t head_offset = kv_head * static_cast<int64_t>(row_bytes(kv.type, dim));
  while (from < to) {
    const int64_t cell = from % kv.n_cells;
    const int64_t n = std::min({kRunPositions, to - from, kv.n_cells - cell});
    KvRun run{from, n, cells + cell * stride + head_offset, stride, kv.type};
    if (!is_float(kv.type)) {
      const Codec& codec = codec_of(kv.type);
      for (int64_t i = 0; i < n; ++i) codec.decode(run.data + i * stride, dim, decoded + i * dim);
      run = {from, n, reinterpret_cast<const std::byte*>(decoded), dim * static_cast<int64_t>(sizeof(float)),
             TensorType::F32};
    }
    body(run);
    from += n;
  }
}

// What a tile works on: its rows' queries, scores and sums, query = row in tile * n_heads + head in tile.
struct TileMemory {
  int64_t from, to;  // positions that any of the rows sees
  int64_t n_queries;
  float* q;        // [n_queries, head_dim]
  float* scores;   // [n_queries, to - from]
  float* sums;     // [n_queries, head_dim]
  float* totals;   // [n_queries], of the softmax
  float* decoded;  // [kRunPositions, head_dim]
};

TileMemory lay_out(const AttentionCall& call, const AttentionTile& tile, Scratch& scratch) {
  TileMemory m{};
  const int64_t position = tile.segment->position + tile.row, dim = call.shape.head_dim;
  m.from = first_visible(call.shape, position);
  m.to = position + tile.n_rows;
  m.n_queries = tile.n_rows * tile.n_heads;
  const int64_t n_scores = m.n_queries * (m.to - m.from);
  m.q = scratch.get<float>(
      static_cast<size_t>((2 * m.n_queries + kRunPositions) * dim + m.n_queries + n_scores));
  m.sums = m.q + m.n_queries * dim;
  m.decoded = m.sums + m.n_queries * dim;
  m.totals = m.decoded + kRunPositions * dim;
  m.scores = m.totals + m.n_queries;
  return m;
}

void take_scores(const KernelTable& kernels, const AttentionCall& call, const AttentionTile& tile,
                 const TileMemory& m) {
  const AttentionShape& shape = call.shape;
  const KvView& kv = tile.segment->kv;
  each_run(kv, kv.k, shape, tile.kv_head, m.from, m.to, m.decoded, [&](const KvRun& run) {
    const FloatDots dots{run.data,       run.stride,  run.n,          m.q,
                         shape.head_dim, m.n_queries, shape.head_dim, m.scores + (run.from - m.from),
                         m.to - m.from};
    switch (run.type) {
      case TensorType::F16:
        return kernels.dots_f16(dots);
      case TensorType::BF16:
        return kernels.dots_bf16(dots);
      default:
        return kernels.dots_f32(dots);
    }
  });
}

// Adds the positions [from, to) of a run to n queries' sums.
void weigh(const KernelTable& kernels, const TileMemory& m, const KvRun& run, int64_t dim, int64_t query,
           int64_t n, int64_t from, int64_t to) {
  from = std::max(from, run.from);
  to = std::min(to, run.from + run.n);
  if (from >= to) return;
  const int64_t n_scores = m.to - m.from;
  const WeightedSum sum{m.scores + query * n_scores + (from - m.from),
                        n_scores,
                        n,
                        run.data + (from - run.from) * run.stride,
                        run.stride,
                        to - from,
                        dim,
                        m.sums + query * dim};
  switch (run.type) {
    case TensorType::F16:
      return kernels.weighted_sum_f16(sum);
    case TensorType::BF16:
      return kernels.weighted_sum_bf16(sum);
    default:
      return kernels.weighted_sum_f32(sum);
  }
}

// Positions that all rows see are weighed for all at once; what a row sees before and after them, for it
// alone.
void weigh_values(const KernelTable& kernels, const AttentionCall& call, const AttentionTile& tile,
                  const TileMemory& m) {
  const AttentionShape& shape = call.shape;
  const KvView& kv = tile.segment->kv;
  const int64_t position = tile.segment->position + tile.row, n_heads = tile.n_heads, dim = shape.head_dim;
  const int64_t common_to = position + 1;
  const int64_t common_from = std::min(first_visible(shape, position + tile.n_rows - 1), common_to);
  each_run(kv, kv.v, shape, tile.kv_head, m.from, m.to, m.decoded, [&](const KvRun& run) {
    for (int64_t r = 0; r < tile.n_rows; ++r)
      weigh(kernels, m, run, dim, r * n_heads, n_heads, first_visible(shape, position + r),
            std::min(common_from, position + r + 1));
    weigh(kernels, m, run, dim, 0, m.n_queries, common_from, common_to);
    for (int64_t r = 0; r < tile.n_rows; ++r)
      weigh(kernels, m, run, dim, r * n_heads, n_heads,
            std::max(common_to, first_visible(shape, position + r)), position + r + 1);
  });
}

// Rows of a tile: as many as keep its memory bounded.
int64_t rows_per_tile(const Segment& segment, const AttentionShape& shape, int64_t n_heads) {
  const int64_t end = segment.position + segment.n_rows;
  const int64_t seen = shape.window > 0 ? std::min(end, shape.window + kMaxQueries) : end;
  return std::clamp<int64_t>(std::min(kMaxQueries, kMaxScores / seen) / n_heads, 1, segment.n_rows);
}

void cut(std::span<const Segment> segments, const AttentionShape& shape, int n_threads,
         std::vector<AttentionTile>& tiles) {
  const int64_t group = shape.n_heads / shape.n_kv_heads;
  int64_t n_pairs = 0;
  for (const Segment& segment : segments) n_pairs += segment.n_rows * shape.n_kv_heads;
  // With fewer (row, KV head) pairs than threads, as when decoding, a KV head's queries are split as well.
  const int64_t n_parts =
      n_pairs == 0 ? 1 : std::clamp<int64_t>((n_threads + n_pairs - 1) / n_pairs, 1, group);
  tiles.clear();
  for (const Segment& segment : segments) {
    if (segment.n_rows == 0) continue;
    const int64_t n_rows = rows_per_tile(segment, shape, group);
    for (int64_t row = 0; row < segment.n_rows; row += n_rows)
      for (int64_t kv_head = 0; kv_head < shape.n_kv_heads; ++kv_head)
        for (int64_t part = 0; part < n_parts; ++part) {
          const int64_t begin = group * part / n_parts, end = group * (part + 1) / n_parts;
          tiles.push_back({&segment, row, std::min(n_rows, segment.n_rows - row), kv_head,
                           kv_head * group + begin, end - begin});
        }
  }
}

}  // namespace

void CpuBackend::attend(const AttentionCall& call, const AttentionTile& tile, Scratch& scratch) {
  const AttentionShape& shape = call.shape;
  const int64_t dim = shape.head_dim, position = tile.segment->position + tile.row;
  const TileMemory m = lay_out(call, tile, scratch);
  CHECK(m.to - m.from <= tile.segment->kv.n_cells);
  const auto place = [&](int64_t r) {  // of the tile's first head of row r, in q and in out
    return ((tile.segment->first_row + tile.row + r) * shape.n_heads + tile.head) * dim;
  };
  for (int64_t r = 0; r < tile.n_rows; ++r)
    std::copy_n(call.q + place(r), tile.n_heads * dim, m.q + r * tile.n_heads * dim);
  std::fill_n(m.sums, m.n_queries * dim, 0.0f);

  take_scores(kernels_, call, tile, m);
  for (int64_t i = 0; i < m.n_queries; ++i) {
    const int64_t p = position + i / tile.n_heads, from = first_visible(shape, p);
    kernels_.softmax(m.scores + i * (m.to - m.from) + (from - m.from), p + 1 - from, &m.totals[i]);
  }
  weigh_values(kernels_, call, tile, m);
  for (int64_t i = 0; i < m.n_queries; ++i)
    kernels_.divide(m.sums + i * dim, dim, m.totals[i],
                    call.out + place(i / tile.n_heads) + i % tile.n_heads * dim);
}

void CpuBackend::attention(std::span<const Segment> segments, const AttentionShape& shape, const float* q,
                           float* out) {
  const InUse in_use(in_use_);
  CHECK(shape.n_kv_heads > 0 && shape.n_heads % shape.n_kv_heads == 0);
  const AttentionCall call{shape, q, out};
  cut(segments, shape, pool_.size(), tiles_);
  share(static_cast<int64_t>(tiles_.size()), [&](int64_t begin, int64_t end, int thread) {
    for (int64_t i = begin; i < end; ++i)
      attend(call, tiles_[static_cast<size_t>(i)], scratch_[static_cast<size_t>(thread)]);
  });
}

}  // namespace carat
