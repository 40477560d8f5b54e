// Reads the cells of a cache run by run (a ring may wrap inside a span) and hands them to the kernels. F32,
// F16 and BF16 are read where they lie, and in fast precision keys in blocks too, by the integer kernels. All
// else is decoded a few positions at a time into memory that stays in the first-level cache, once for all
// queries of the tile.
#include "kernels/cpu/attention_tile.h"

#include <algorithm>

#include "kernels/cpu/cpu_backend.h"
#include "quant/codec.h"

namespace carat {
namespace {

constexpr int64_t kDecodedFloats = 4096;  // at once: 16 KiB, half of a small first-level cache
constexpr int64_t kDecodedColumns = 128;  // of values: then many positions pass for each sum that is loaded
constexpr int64_t kFloatBytes = sizeof(float);

void decode_cells(const KernelTable& kernels, TensorType type, const CellRows& rows) {
  switch (type) {
    case TensorType::F32:
      return kernels.decode_f32(rows);
    case TensorType::F16:
      return kernels.decode_f16(rows);
    case TensorType::BF16:
      return kernels.decode_bf16(rows);
    case TensorType::Q8_0:
      return kernels.decode_q8_0(rows);
    case TensorType::Q5_0:
      return kernels.decode_q5_0(rows);
    case TensorType::Q4_0:
      return kernels.decode_q4_0(rows);
    default: {  // a row is what the codec makes of it, taken once more as F32
      const Codec& codec = codec_of(type);
      for (int64_t r = 0; r < rows.n_rows; ++r)
        codec.decode(static_cast<const std::byte*>(rows.cells) + r * rows.stride, rows.k,
                     rows.out + r * rows.out_stride);
      if (rows.norm == nullptr) return;
      kernels.decode_f32({rows.out, rows.out_stride * kFloatBytes, rows.n_rows, rows.k, rows.norm, rows.out,
                          rows.out_stride});
    }
  }
}

}  // namespace

// Positions [from, from + n) of the tile's KV head, `stride` bytes apart; of each the values
// [column, column + width).
struct TileWorker::Run {
  int64_t from, n;
  int64_t column, width;
  const std::byte* data;
  int64_t stride;
  TensorType type;
  int64_t n_next;  // cells behind these that the tile will read next
};

PartialSums PartialSums::carve(Carver& carver, int64_t n_queries, int64_t head_dim) {
  PartialSums p{};
  p.sums = carver.take<float>(n_queries * head_dim);
  p.largest = carver.take<float>(n_queries);
  p.totals = carver.take<float>(n_queries);
  return p;
}

// A query that saw nothing in one of the two keeps the other's bits.
void merge(const KernelTable& kernels, const PartialSums& part, int64_t query, int64_t head_dim,
           const PartialSums& acc) {
  const float* from = part.sums + query * head_dim;
  float* to = acc.sums + query * head_dim;
  if (part.totals[query] == 0) return;
  if (acc.totals[query] == 0) {
    std::copy_n(from, head_dim, to);
    acc.largest[query] = part.largest[query], acc.totals[query] = part.totals[query];
    return;
  }
  const float largest = std::max(acc.largest[query], part.largest[query]);
  float weights[2] = {acc.largest[query] - largest, part.largest[query] - largest};
  kernels.exponential(weights, 2);
  kernels.blend(to, from, head_dim, weights[0], weights[1]);
  acc.totals[query] = acc.totals[query] * weights[0] + part.totals[query] * weights[1];
  acc.largest[query] = largest;
}

void finish(const AttentionCall& call, const AttentionTile& tile, int64_t query, const PartialSums& acc) {
  const int64_t row = tile.segment->first_row + tile.row + query / tile.n_heads;
  const int64_t head = tile.head + query % tile.n_heads, dim = call.shape.head_dim;
  float* out = call.out + (row * call.shape.n_heads + head) * dim;
  call.kernels->divide(acc.sums + query * dim, dim, acc.totals[query], out);
  if (tile.segment->kv.v_is_mixed()) call.kernels->mix(out, dim);
}

TileWorker::TileWorker(const AttentionCall& call, const AttentionTile& tile, Scratch& scratch)
    : call_(call),
      tile_(tile),
      kernels_(*call.kernels),
      kv_(tile.segment->kv),
      dim_(call.shape.head_dim),
      n_queries_(tile.n_queries()),
      position_(tile.segment->position + tile.row),
      keys_(choose_keys()),
      n_turning_(keys_ == Keys::stored ? 0 : call.angles->n_turning()),
      int8_format_(-1) {
  CHECK(tile.to - tile.from <= kv_.n_cells && (!kv_.mixed || dim_ % kMixed == 0));
  if (call.precision == Precision::fast && keys_ != Keys::rebuilt)
    int8_format_ = int8_format(keys_ == Keys::stored ? kv_.k_type : kv_.v_type);
  Carver count(nullptr);
  carve(count);
  Carver carver(scratch.get<std::byte>(count.n_bytes()));
  carve(carver);
  take_queries();
}

// Splitting keys changes how scores are rounded, so exact precision rebuilds them as they would have been
// stored.
TileWorker::Keys TileWorker::choose_keys() const {
  if (kv_.k != nullptr) return Keys::stored;
  CHECK(call_.shape.key_rule != nullptr && call_.angles != nullptr);
  const int64_t unit = kv_.mixed ? kMixed : 32;  // what cannot be split: blocks, or what is mixed
  const bool whole_blocks = call_.angles->n_turning() % unit == 0 && dim_ % (2 * unit) == 0;
  const bool by_integers = call_.precision == Precision::fast && int8_format(kv_.v_type) >= 0;
  return by_integers && whole_blocks ? Keys::split : Keys::rebuilt;
}

void TileWorker::carve(Carver& carver) {
  q_ = carver.take<float>(n_queries_ * dim_);
  scores_ = carver.take<float>(n_queries_ * kSpan);
  decoded_ = carver.take<float>(std::max(dim_, kDecodedFloats));
  part_ = PartialSums::carve(carver, n_queries_, dim_);
  sums_ = PartialSums::carve(carver, n_queries_, dim_);
  if (keys_ == Keys::split) {
    turning_ = carver.take<float>(n_queries_ * 2 * n_turning_);
    turning_norm_ = carver.take<float>(2 * n_turning_);
    turned_scores_ = carver.take<float>(n_queries_ * kSpan);
  }
  if (int8_format_ < 0) return;
  rounded_memory_ = carver.take<std::byte>(static_cast<int64_t>(int8_rows_bytes(n_queries_, dim_)));
  const int64_t stride =
      row_offset(kv_.k != nullptr ? kv_.k_type : kv_.v_type, call_.shape.n_kv_heads * dim_);
  int8_scratch_ = carver.take<std::byte>(static_cast<int64_t>(int8_scratch_bytes(stride, n_queries_)));
}

void TileWorker::take_queries() {
  const int64_t n = tile_.n_heads * dim_;
  for (int64_t r = 0; r < tile_.n_rows; ++r) {
    const int64_t row = tile_.segment->first_row + tile_.row + r;
    std::copy_n(call_.q + (row * call_.shape.n_heads + tile_.head) * dim_, n, q_ + r * n);
  }
  if (keys_ == Keys::split) split_queries();
  // Mixing both sides of a product leaves it as it is.
  if (keys_ == Keys::stored ? kv_.k_is_mixed() : keys_ == Keys::split && kv_.v_is_mixed())
    kernels_.mix(q_, n_queries_ * dim_);
  if (int8_format_ < 0) return;
  rounded_ = lay_out_int8_rows(n_queries_, dim_, rounded_memory_);
  for (int64_t i = 0; i < n_queries_; ++i) kernels_.quantize_row(q_ + i * dim_, dim_, rounded_, i);
}

// q . K = q_turning . K_turning + (q norm)_rest . u_rest
void TileWorker::split_queries() {
  const float* norm = call_.shape.key_rule->norm;
  std::copy_n(norm, n_turning_, turning_norm_);
  std::copy_n(norm + dim_ / 2, n_turning_, turning_norm_ + n_turning_);
  for (int64_t i = 0; i < n_queries_; ++i) {
    float *q = q_ + i * dim_, *turning = turning_ + i * 2 * n_turning_;
    for (const int64_t half : {int64_t{0}, dim_ / 2}) {
      std::copy_n(q + half, n_turning_, turning);
      std::fill_n(q + half, n_turning_, 0.0f);
      turning += n_turning_;
    }
    for (int64_t d = 0; d < dim_; ++d) q[d] *= norm[d];
  }
}

// Bytes of so many values, whole blocks.
int64_t TileWorker::row_offset(TensorType type, int64_t element) const {
  return static_cast<int64_t>(row_bytes(type, element));
}

// Calls body(Run) for positions [from, to) in order, at most `most` at a time.
template <class Body>
void TileWorker::each_run(const std::byte* cells, TensorType type, int64_t most, int64_t from, int64_t to,
                          const Body& body) const {
  const int64_t stride = row_offset(type, call_.shape.n_kv_heads * dim_),
                head = row_offset(type, tile_.kv_head * dim_);
  for (int64_t n; from < to; from += n) {
    const int64_t cell = from % kv_.n_cells;
    n = std::min({most, to - from, kv_.n_cells - cell});
    const int64_t n_next = std::min({kSpan, tile_.to - from - n, kv_.n_cells - cell - n});
    body(Run{from, n, 0, dim_, cells + cell * stride + head, stride, type, n_next});
  }
}

// The same run as F32.
TileWorker::Run TileWorker::decoded(const Run& run, const float* norm) const {
  decode_cells(kernels_, run.type, {run.data, run.stride, run.n, run.width, norm, decoded_, run.width});
  return {run.from,
          run.n,
          run.column,
          run.width,
          reinterpret_cast<const std::byte*>(decoded_),
          run.width * kFloatBytes,
          TensorType::F32,
          0};
}

// Decoded values [n, width] become keys that have yet to be turned.
void TileWorker::to_keys(int64_t n, int64_t width, const float* norm) const {
  if (kv_.v_is_mixed()) kernels_.mix(decoded_, n * width);
  kernels_.decode_f32({decoded_, width * kFloatBytes, n, width, norm, decoded_, width});
}

void TileWorker::take_scores(int64_t from, int64_t to) {
  const int64_t few = std::clamp<int64_t>(kDecodedFloats / dim_, 1, kSpan);
  const auto place = [&](const Run& run) { return scores_ + (run.from - span_begin_); };
  if (keys_ == Keys::rebuilt) {
    each_run(kv_.v, kv_.v_type, few, from, to, [&](const Run& run) {
      const float* norm = call_.shape.key_rule->norm;
      const Run keys = decoded(run, kv_.v_is_mixed() ? nullptr : norm);
      if (kv_.v_is_mixed()) to_keys(run.n, dim_, norm);
      kernels_.turn_rows({decoded_, run.n, dim_ / 2, n_turning_, call_.angles->row(run.from)});
      score(keys, place(run));
    });
    return;
  }
  const bool stored = keys_ == Keys::stored;
  const TensorType type = stored ? kv_.k_type : kv_.v_type;
  if (is_float(type) || int8_format_ >= 0)
    each_run(stored ? kv_.k : kv_.v, type, kSpan, from, to, [&](const Run& run) { score(run, place(run)); });
  else
    each_run(kv_.k, type, few, from, to, [&](const Run& run) { score(decoded(run, nullptr), place(run)); });
  if (!stored) add_turned_scores(from, to);
}

void TileWorker::score(const Run& run, float* scores) const {
  const FloatDots dots{run.data, run.stride, run.n, q_, dim_, n_queries_, dim_, scores, kSpan, run.n_next};
  switch (run.type) {
    case TensorType::F32:
      return kernels_.dots_f32(dots);
    case TensorType::F16:
      return kernels_.dots_f16(dots);
    case TensorType::BF16:
      return kernels_.dots_bf16(dots);
    default:
      return kernels_.int8_dots[int8_format_]({reinterpret_cast<const uint8_t*>(run.data), run.stride, run.n,
                                               dim_, rounded_, n_queries_, scores, kSpan, int8_scratch_});
  }
}

// What split keys' turning pairs, which are two pieces of a row, add to the scores.
void TileWorker::add_turned_scores(int64_t from, int64_t to) {
  const int64_t half = dim_ / 2, width = 2 * n_turning_;
  if (width == 0) return;
  const int64_t few = std::clamp<int64_t>(kDecodedFloats / width, 1, kSpan);
  each_run(kv_.v, kv_.v_type, few, from, to, [&](const Run& run) {
    decode_cells(kernels_, run.type, {run.data, run.stride, run.n, n_turning_, nullptr, decoded_, width});
    decode_cells(kernels_, run.type,
                 {run.data + row_offset(run.type, half), run.stride, run.n, n_turning_, nullptr,
                  decoded_ + n_turning_, width});
    to_keys(run.n, width, turning_norm_);
    kernels_.turn_rows({decoded_, run.n, n_turning_, n_turning_, call_.angles->row(run.from)});
    kernels_.dots_f32({decoded_, width * kFloatBytes, run.n, turning_, width, n_queries_, width,
                       turned_scores_ + (run.from - span_begin_), kSpan});
  });
  for (int64_t i = 0; i < n_queries_; ++i) {
    const int64_t place = i * kSpan + (from - span_begin_);
    kernels_.add_scale(scores_ + place, turned_scores_ + place, to - from, 1.0f);
  }
}

// Adds the positions [from, to) of a run to n queries' sums.
void TileWorker::weigh(const Run& run, int64_t query, int64_t n, int64_t from, int64_t to,
                       float* sums) const {
  from = std::max(from, run.from);
  to = std::min(to, run.from + run.n);
  if (from >= to) return;
  const WeightedSum sum{scores_ + query * kSpan + (from - span_begin_),
                        kSpan,
                        n,
                        run.data + (from - run.from) * run.stride,
                        run.stride,
                        to - from,
                        run.width,
                        sums + query * dim_ + run.column,
                        dim_,
                        run.from + run.n - to + run.n_next};
  switch (run.type) {
    case TensorType::F16:
      return kernels_.weighted_sum_f16(sum);
    case TensorType::BF16:
      return kernels_.weighted_sum_bf16(sum);
    default:
      return kernels_.weighted_sum_f32(sum);
  }
}

// Positions that all rows see are weighed for all at once; what a row sees before and after them, for it
// alone.
void TileWorker::weigh_run(const Run& run, float* sums) const {
  const AttentionShape& shape = call_.shape;
  const int64_t n_heads = tile_.n_heads;
  const int64_t common_to = position_ + 1;
  const int64_t common_from = std::min(first_visible(shape, position_ + tile_.n_rows - 1), common_to);
  for (int64_t r = 0; r < tile_.n_rows; ++r)
    weigh(run, r * n_heads, n_heads, first_visible(shape, position_ + r),
          std::min(common_from, position_ + r + 1), sums);
  weigh(run, 0, n_queries_, common_from, common_to, sums);
  for (int64_t r = 0; r < tile_.n_rows; ++r)
    weigh(run, r * n_heads, n_heads, std::max(common_to, first_visible(shape, position_ + r)),
          position_ + r + 1, sums);
}

void TileWorker::weigh_values(int64_t from, int64_t to, float* sums) const {
  if (is_float(kv_.v_type))
    return each_run(kv_.v, kv_.v_type, kSpan, from, to, [&](const Run& run) { weigh_run(run, sums); });
  const int64_t block = type_info(kv_.v_type).block_length;
  const int64_t width = dim_ % kDecodedColumns == 0 && kDecodedColumns % block == 0 ? kDecodedColumns : dim_;
  const int64_t few = std::clamp<int64_t>(kDecodedFloats / width, 1, kSpan);
  each_run(kv_.v, kv_.v_type, few, from, to, [&](Run run) {
    const std::byte* data = run.data;
    run.width = width;
    for (; run.column < dim_; run.column += width) {
      run.data = data + row_offset(run.type, run.column);
      weigh_run(decoded(run, nullptr), sums);
    }
  });
}

void TileWorker::attend(int64_t span, const PartialSums& part) {
  span_begin_ = span * kSpan;
  const int64_t from = std::max(span_begin_, tile_.from), to = std::min(span_begin_ + kSpan, tile_.to);
  take_scores(from, to);
  for (int64_t i = 0; i < n_queries_; ++i) {
    const int64_t position = position_ + i / tile_.n_heads;
    const int64_t first = std::max(from, first_visible(call_.shape, position)),
                  end = std::min(to, position + 1);
    part.totals[i] = 0;
    if (first < end)
      kernels_.softmax(scores_ + i * kSpan + (first - span_begin_), end - first, &part.largest[i],
                       &part.totals[i]);
  }
  std::fill_n(part.sums, n_queries_ * dim_, 0.0f);
  weigh_values(from, to, part.sums);
}

void TileWorker::attend_all() {
  std::fill_n(sums_.totals, n_queries_, 0.0f);
  const int64_t first = tile_.first_span(), end = first + tile_.n_spans();
  for (int64_t span = first; span < end; ++span) {
    attend(span, part_);
    for (int64_t i = 0; i < n_queries_; ++i) merge(kernels_, part_, i, dim_, sums_);
  }
  for (int64_t i = 0; i < n_queries_; ++i) finish(call_, tile_, i, sums_);
}

}  // namespace carat
