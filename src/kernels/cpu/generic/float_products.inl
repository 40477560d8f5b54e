// Products of weights in F32, F16 and BF16, and of what other types decode to, with float activations. Lanes are sixteen
// rows: a piece of k of sixteen rows is widened into a panel in the first-level cache, which every token of the call uses.
//
// The order of a sum: pieces of 256 values in order of k; in a piece the values at even places and those at odd ones are two
// chains of fused multiply-adds from zero, added to the total in this order. So a result depends on its row and its token
// alone, is the same with every vector length, and has at most 128 + k / 128 roundings in a row. All this is so for pairs of values, too
// (Bf16Pairs, of one ISA): pieces are then of 256 pairs, and each pair is two roundings.
namespace carat {
namespace {

constexpr int64_t kPieceLength = 256, kWays = 2, kWayLength = kPieceLength / kWays;

// Up to so many tokens take values from registers; up to so many go through a panel's row from end to end, as memory likes it.
constexpr int64_t kFewestFloat = 3, kFewFloat = 4 * kTileFloat;
// More tokens and panels take turns at a piece: the tokens' values stay in the second-level cache, as do the totals.
constexpr int64_t kFloatPanelsAtOnce = 8, kFloatTokensAtOnce = 96;
static_assert(kFloatTokensAtOnce % kTileFloat == 0);

// "A value" is whatever add_product() takes from either side, with four bytes for each activation.
struct Values {
  // sum + w * x of each row, for values w of k and the activation at x.
  CARAT_ALWAYS_INLINE static Floats add_product(Floats w, const float* x, Floats sum) { return fma(w, set1(*x), sum); }
};
// What sixteen bytes of each of sixteen rows widen to; words[c] holds bytes 4 c … 4 c + 3 of all rows.
struct F32Words : Values {
  static constexpr int kBytes = 4;
  CARAT_ALWAYS_INLINE static void widen(const Bytes* words, Floats* v) {
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) v[c] = bits_to_floats(as_ints(words[c]));
  }
};
struct F16Words : Values {
  static constexpr int kBytes = 2;
  CARAT_ALWAYS_INLINE static void widen(const Bytes* words, Floats* v) {
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) f16_pairs(as_ints(words[c]), v[2 * c], v[2 * c + 1]);
  }
};
struct Bf16Words : Values {
  static constexpr int kBytes = 2;
  CARAT_ALWAYS_INLINE static void widen(const Bytes* words, Floats* v) {
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      v[2 * c] = bits_to_floats(shift_left<16>(as_ints(words[c])));
      v[2 * c + 1] = bits_to_floats(bit_and(as_ints(words[c]), set1_int(-65536)));
    }
  }
};
template <class Words>
constexpr int kValuesAtOnce = 16 / Words::kBytes;

// Weights are read in stretches of so many bytes a row.
constexpr int64_t kStretchBytes = 128;
template <class Words>
constexpr int64_t kStretch = kStretchBytes / Words::kBytes;

// Sixteen rows of weights, all readable, from some value of k on.
struct WeightRows {
  const uint8_t* p;
  int64_t stride;

  // The stretch of each row from byte `from` on. It is read in turns, between which a first-level cache forgets it where all
  // rows' beginnings fall into the same few of its sets: such rows (2,048 values of BF16, say) are copied together first.
  WeightRows stretch(int64_t from, uint8_t* copy) const {
    if (stride % 2048 != 0) return {p + from, stride};
    for (int64_t r = 0; r < kPanelRows; ++r) memcpy(copy + kStretchBytes * r, p + r * stride + from, kStretchBytes);
    return {copy, kStretchBytes};
  }
  // v[j] = value i + j of each row.
  template <class Words>
  CARAT_ALWAYS_INLINE void values(int64_t i, Floats* v) const {
    Bytes words[4];
    transpose16(p + i * Words::kBytes, stride, words);
    Words::widen(words, v);
  }
  // The same where rows end after n of them; the others are zero.
  template <class Words>
  void last_values(int64_t i, int64_t n, Floats* v) const {
    uint8_t copy[kPanelRows * 16] = {};
    for (int64_t r = 0; r < kPanelRows; ++r)
      memcpy(copy + 16 * r, p + r * stride + i * Words::kBytes, static_cast<size_t>(n * Words::kBytes));
    WeightRows{copy, 16}.values<Words>(0, v);
  }
};

// n_bytes of each of n_rows < 16 rows, behind which nothing may be read: into copy, with rows of zeros behind them.
inline WeightRows copy_rows(WeightRows rows, int64_t n_rows, int64_t n_bytes, uint8_t* copy) {
  for (int64_t r = 0; r < n_rows; ++r) memcpy(copy + r * n_bytes, rows.p + r * rows.stride, static_cast<size_t>(n_bytes));
  memset(copy + n_rows * n_bytes, 0, static_cast<size_t>((kPanelRows - n_rows) * n_bytes));
  return {copy, n_bytes};
}

// n values of k of sixteen rows into piece, [kWays][kWayLength][16]. Asks for as many of the sixteen rows at `next`.
template <class Words>
__attribute__((noinline)) void widen_piece(WeightRows rows, int64_t n, const uint8_t* next, int64_t next_stride,
                                           float* piece) {
  constexpr int kAtOnce = kValuesAtOnce<Words>;
  alignas(64) uint8_t copy[kPanelRows * kStretchBytes];
  Floats v[kAtOnce];
  int64_t i = 0;
  const auto put = [&] {
#pragma GCC unroll 8
    for (int j = 0; j < kAtOnce; ++j) store(piece + (j % kWays * kWayLength + j / kWays) * kPanelRows, v[j]);
    piece += kAtOnce / kWays * kPanelRows, i += kAtOnce;
  };
  while (i + kStretch<Words> <= n) {
    for (int r = 0; r < kPanelRows; ++r)
#pragma GCC unroll 2
      for (int64_t line = 0; line < kStretchBytes; line += 64) prefetch(next + r * next_stride + i * Words::kBytes + line);
    const WeightRows stretch = rows.stretch(i * Words::kBytes, copy);
    for (int64_t s = 0; s < kStretch<Words>; s += kAtOnce) stretch.values<Words>(s, v), put();
  }
  while (i + kAtOnce <= n) rows.values<Words>(i, v), put();
  if (i == n) return;
  rows.last_values<Words>(i, n - i, v);
  for (int j = 0; i + j < n; ++j) store(piece + (j % kWays * kWayLength + j / kWays) * kPanelRows, v[j]);
}

// Adds n values of one way of a piece to the totals [kTokens][16] of tokens that lie x_stride apart.
template <class Words, int kTokens>
inline void multiply_way(const float* piece, int64_t n, const float* x, int64_t x_stride, float* total) {
  Floats sum[kTokens];
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) sum[t] = zero();
#pragma GCC unroll 2
  for (int64_t i = 0; i < n; ++i) {
    const Floats w = load(piece + i * kPanelRows);
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) sum[t] = Words::add_product(w, x + t * x_stride + kWays * i, sum[t]);
  }
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) store(total + t * kPanelRows, add(load(total + t * kPanelRows), sum[t]));
}

// Adds n values of a piece, for 1 <= n_tokens <= kTokens.
template <class Words, int kTokens>
inline void multiply_piece(int64_t n_tokens, const float* piece, int64_t n, const float* x, int64_t x_stride, float* total) {
  if constexpr (kTokens > 0) {
    if (n_tokens < kTokens) return multiply_piece<Words, kTokens - 1>(n_tokens, piece, n, x, x_stride, total);
    multiply_way<Words, kTokens>(piece, (n + 1) / 2, x, x_stride, total);
    multiply_way<Words, kTokens>(piece + kWayLength * kPanelRows, n / 2, x + 1, x_stride, total);
  }
}

template <int kTokens>
struct TwoChains {
  Floats even[kTokens], odd[kTokens];
};
// Adds the products of the first n <= kValuesAtOnce values.
template <class Words, int kTokens>
CARAT_ALWAYS_INLINE void add_products(const Floats* v, int64_t n, const float* x, int64_t x_stride,
                                      TwoChains<kTokens>& sums) {
#pragma GCC unroll 8
  for (int j = 0; j < kValuesAtOnce<Words>; ++j) {
    if (j == n) return;
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) {
      Floats& sum = j % 2 == 0 ? sums.even[t] : sums.odd[t];
      sum = Words::add_product(v[j], x + t * x_stride + j, sum);
    }
  }
}

// The totals of sixteen rows with the fewest tokens, which need no panel. Asks for the sixteen at `next` in four places at once
// (decision 0013).
template <class Words, int kTokens>
__attribute__((noinline)) void multiply_fewest(const FloatDots& d, WeightRows rows, const uint8_t* next, float* total) {
  constexpr int kAtOnce = kValuesAtOnce<Words>;
  const float* x = d.x;
  const int64_t x_stride = d.x_stride;
  alignas(64) uint8_t copy[kPanelRows * kStretchBytes];
  Floats v[kAtOnce];
#pragma GCC unroll 4
  for (int t = 0; t < kTokens; ++t) store(total + t * kPanelRows, zero());
  for (int64_t from = 0, step = 0; from < d.k; from += kPieceLength) {
    const int64_t end = from + kPieceLength < d.k ? from + kPieceLength : d.k;
    TwoChains<kTokens> sums;
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) sums.even[t] = sums.odd[t] = zero();
    int64_t i = from;
    while (i + kStretch<Words> <= end) {
      const WeightRows stretch = rows.stretch(i * Words::kBytes, copy);
      for (int64_t s = 0; s < kStretch<Words>; s += kAtOnce, i += kAtOnce, ++step) {
        const uint8_t* p = next + step % 4 * 4 * d.weight_stride + step / 4 * 256;
#pragma GCC unroll 4
        for (int line = 0; line < 4; ++line) prefetch(p + 64 * line);
        stretch.values<Words>(s, v);
        add_products<Words>(v, kAtOnce, x + i, x_stride, sums);
      }
    }
    for (; i + kAtOnce <= end; i += kAtOnce) {
      rows.values<Words>(i, v);
      add_products<Words>(v, kAtOnce, x + i, x_stride, sums);
    }
    if (i < end) {
      rows.last_values<Words>(i, end - i, v);
      add_products<Words>(v, end - i, x + i, x_stride, sums);
    }
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) {
      float* out = total + t * kPanelRows;
      store(out, add(add(load(out), sums.even[t]), sums.odd[t]));
    }
  }
}

// Rows [row, row + n_rows), at most kFloatPanelsAtOnce panels, with all of d's tokens, at most kFloatTokensAtOnce.
template <class Words>
__attribute__((noinline)) void multiply_rows(const FloatDots& d, int64_t row, int64_t n_rows) {
  alignas(64) float totals[kFloatPanelsAtOnce * kFloatTokensAtOnce * kPanelRows];
  const int64_t n_panels = (n_rows + kPanelRows - 1) / kPanelRows, n_last = n_rows - (n_panels - 1) * kPanelRows;
  const int64_t panel_bytes = kPanelRows * d.weight_stride;
  const uint8_t* weights = static_cast<const uint8_t*>(d.weights) + row * d.weight_stride;
  alignas(64) float piece[kPieceLength * kPanelRows];
  for (int64_t i = 0; i < n_panels * d.n_tokens; ++i) store(totals + i * kPanelRows, zero());
  for (int64_t from = 0; from < d.k; from += kPieceLength) {
    const int64_t n = d.k - from < kPieceLength ? d.k - from : kPieceLength;
    for (int64_t p = 0; p < n_panels; ++p) {
      WeightRows rows{weights + p * panel_bytes + from * Words::kBytes, d.weight_stride};
      const uint8_t* next = rows.p + panel_bytes;
      if (p == n_panels - 1) next = from + n < d.k ? weights + (from + n) * Words::kBytes : weights + n_panels * panel_bytes;
      alignas(64) uint8_t copy[kPanelRows * kPieceLength * Words::kBytes];
      if (p == n_panels - 1 && n_last < kPanelRows) rows = copy_rows(rows, n_last, n * Words::kBytes, copy);
      widen_piece<Words>(rows, n, next, d.weight_stride, piece);
      float* total = totals + p * d.n_tokens * kPanelRows;
      for (int64_t t = 0; t < d.n_tokens; t += kTileFloat)
        multiply_piece<Words, kTileFloat>(d.n_tokens - t < kTileFloat ? d.n_tokens - t : kTileFloat, piece, n,
                                          d.x + t * d.x_stride + from, d.x_stride, total + t * kPanelRows);
    }
  }
  for (int64_t p = 0; p < n_panels; ++p)
    for (int64_t t = 0; t < d.n_tokens; ++t)
      store_n(d.out + t * d.out_stride + row + p * kPanelRows, load(totals + (p * d.n_tokens + t) * kPanelRows),
              p == n_panels - 1 ? n_last : kPanelRows);
}

// Whole panels with the fewest tokens; how many rows that were.
template <class Words>
inline int64_t multiply_panels_with_fewest(const FloatDots& d) {
  alignas(64) float totals[kFewestFloat * kPanelRows];
  static_assert(kFewestFloat == 3);
  int64_t row = 0;
  for (; row + kPanelRows <= d.n_rows; row += kPanelRows) {
    const WeightRows rows{static_cast<const uint8_t*>(d.weights) + row * d.weight_stride, d.weight_stride};
    // Not for what lies behind decoded weights: it would push them out of the cache.
    const uint8_t* next = row + kPanelRows < d.n_rows + d.n_next ? rows.p + kPanelRows * d.weight_stride : rows.p;
    if (d.n_tokens == 1) multiply_fewest<Words, 1>(d, rows, next, totals);
    if (d.n_tokens == 2) multiply_fewest<Words, 2>(d, rows, next, totals);
    if (d.n_tokens == 3) multiply_fewest<Words, 3>(d, rows, next, totals);
    for (int64_t t = 0; t < d.n_tokens; ++t) store(d.out + t * d.out_stride + row, load(totals + t * kPanelRows));
  }
  return row;
}

template <class Words>
void float_products(const FloatDots& d) {
  const int64_t rows_at_once = d.n_tokens <= kFewFloat ? kPanelRows : kFloatPanelsAtOnce * kPanelRows;
  // Parts of one size, so that no last token has all weights read for itself.
  const int64_t n_parts = (d.n_tokens + kFloatTokensAtOnce - 1) / kFloatTokensAtOnce;
  const int64_t tiles = n_parts == 0 ? 0 : (d.n_tokens + n_parts * kTileFloat - 1) / (n_parts * kTileFloat);
  for (int64_t token = 0; token < d.n_tokens; token += tiles * kTileFloat) {
    FloatDots part = d;
    part.n_tokens = d.n_tokens - token < tiles * kTileFloat ? d.n_tokens - token : tiles * kTileFloat;
    part.x += token * d.x_stride;
    part.out += token * d.out_stride;
    int64_t row = part.n_tokens <= kFewestFloat ? multiply_panels_with_fewest<Words>(part) : 0;
    for (; row < d.n_rows; row += rows_at_once)
      multiply_rows<Words>(part, row, d.n_rows - row < rows_at_once ? d.n_rows - row : rows_at_once);
  }
}

}  // namespace
}  // namespace carat
