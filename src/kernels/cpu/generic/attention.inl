// The parts of attention that are not dot products: softmax over one row of scores, the sum of values weighted
// by it, and putting the results of two spans together. Weighted sums run in the order of positions, a softmax's total in
// sixteen lanes counted from the first position that its query sees in the span, so neither ring wraps nor pieces of a
// prompt show in the result.
namespace carat {
namespace {

void softmax(float* x, int64_t n, float* largest, float* total) {
  Floats top = set1(x[0]);
  each_sixteen(n, [&](int64_t i, int64_t m) { top = max(m == 16 ? load(x + i) : set1(x[0]), top); });
  float peak = max_lane(top);
  for (int64_t i = n / 16 * 16; i < n; ++i) peak = x[i] > peak ? x[i] : peak;
  const Floats shift = set1(peak);
  Floats sums = zero();
  each_sixteen(n, [&](int64_t i, int64_t m) {
    store_n(x + i, exponential(sub(load_n(x + i, m), shift)), m);
    sums = add(sums, load_n(x + i, m));  // read back: lanes past the end are zero, not exp(-peak)
  });
  *largest = peak;
  *total = sum(sums);
}

void blend(float* acc, const float* x, int64_t n, float a, float b) {
  const Floats of_acc = set1(a), of_x = set1(b);
  each_sixteen(n, [&](int64_t i, int64_t m) {
    store_n(acc + i, fma(load_n(x + i, m), of_x, mul(load_n(acc + i, m), of_acc)), m);
  });
}

template <class Row>
inline const typename Row::Element* value_of(const WeightedSum& w, int64_t position, int64_t d) {
  return reinterpret_cast<const typename Row::Element*>(static_cast<const uint8_t*>(w.v) +
                                                        position * w.v_stride) +
         d;
}

constexpr int64_t kFewPositions = 32;

// kQueries rows of acc, kVectors parts of columns from d on.
template <class Row, int kQueries, int kVectors>
inline void weigh_tile(const WeightedSum& w, int64_t query, int64_t d) {
  Part acc[kQueries][kVectors];
  const auto place = [&](int q, int v) { return w.acc + (query + q) * w.acc_stride + d + kPartLanes * v; };
#pragma GCC unroll 8
  for (int q = 0; q < kQueries; ++q)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) acc[q][v] = part_load(place(q, v));
  const float* p = w.p + query * w.p_stride;
  for (int64_t i = 0; i < w.n_positions; ++i) {
    const auto* value = value_of<Row>(w, i, d);
    Part values[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) values[v] = Row::load(value + kPartLanes * v);
#pragma GCC unroll 8
    for (int q = 0; q < kQueries; ++q) {
      const Part weight = part_set1(p[q * w.p_stride + i]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) acc[q][v] = part_fma(weight, values[v], acc[q][v]);
    }
  }
#pragma GCC unroll 8
  for (int q = 0; q < kQueries; ++q)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) part_store(place(q, v), acc[q][v]);
}

// The last n < 16 columns of one query.
template <class Row>
inline void weigh_part(const WeightedSum& w, int64_t query, int64_t d, int64_t n) {
  Floats acc = load_part(w.acc + query * w.acc_stride + d, n);
  for (int64_t i = 0; i < w.n_positions; ++i)
    acc = fma(set1(w.p[query * w.p_stride + i]), Row::load_part(value_of<Row>(w, i, d), n), acc);
  store_part(w.acc + query * w.acc_stride + d, acc, n);
}

// The n_queries < kQueries + 1 that are left.
template <class Row, int kQueries, int kVectors>
inline void weigh_tail(const WeightedSum& w, int64_t query, int64_t d, int64_t n_queries) {
  if constexpr (kQueries > 0) {
    if (n_queries == kQueries)
      weigh_tile<Row, kQueries, kVectors>(w, query, d);
    else
      weigh_tail<Row, kQueries - 1, kVectors>(w, query, d, n_queries);
  }
}

template <class Row, int kVectors>
inline void weigh_columns(const WeightedSum& w, int64_t d, Ahead& ahead) {
  for (int64_t query = 0; query < w.n_queries; query += kTileQueries) {
    ahead.fetch();
    const int64_t left = w.n_queries - query;
    weigh_tail<Row, kTileQueries, kVectors>(w, query, d, left < kTileQueries ? left : kTileQueries);
  }
}

// Values are taken a few positions at a time, all columns of them, while the next few are fetched.
template <class Row>
void weighted_sum(const WeightedSum& all) {
  constexpr int64_t kColumns = kPartLanes * kTileVectors;
  const int64_t row_bytes = all.dim * static_cast<int64_t>(sizeof(typename Row::Element));
  const int64_t n_tiles =
      (all.dim + kColumns - 1) / kColumns * ((all.n_queries + kTileQueries - 1) / kTileQueries);
  WeightedSum w = all;
  for (int64_t i = 0; i < all.n_positions; i += kFewPositions) {
    w.n_positions = all.n_positions - i < kFewPositions ? all.n_positions - i : kFewPositions;
    w.p = all.p + i;
    w.v = static_cast<const uint8_t*>(all.v) + i * w.v_stride;
    const int64_t n_behind = all.n_positions + all.n_next - i - kFewPositions;
    Ahead ahead(static_cast<const uint8_t*>(w.v) + kFewPositions * w.v_stride, w.v_stride,
                n_behind < kFewPositions ? n_behind : kFewPositions, row_bytes, n_tiles);
    int64_t d = 0;
    for (; d + kColumns <= w.dim; d += kColumns) weigh_columns<Row, kTileVectors>(w, d, ahead);
    for (; d + kPartLanes <= w.dim; d += kPartLanes) weigh_columns<Row, 1>(w, d, ahead);
    if (d < w.dim)
      for (int64_t query = 0; query < w.n_queries; ++query) weigh_part<Row>(w, query, d, w.dim - d);
  }
}

}  // namespace
}  // namespace carat
