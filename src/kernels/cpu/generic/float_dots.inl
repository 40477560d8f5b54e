// Products of a cache's cells with queries; those of weights stand in float_products.inl. Cells are short, far apart and have few
// queries each, so lanes run along k and nothing is turned over: a (cell, query) pair has one accumulator of sixteen lanes, filled
// in order of k and summed by one tree, whatever tile computes it. That is why a cell's bits do not depend on the batch.
namespace carat {
namespace {

struct F32Row {
  using Element = float;
  static Part load(const float* p) { return part_load(p); }
  static Floats load_part(const float* p, int64_t n) { return carat::load_part(p, n); }
};
struct F16Row {
  using Element = uint16_t;
  static Part load(const uint16_t* p) { return part_load_f16(p); }
  static Floats load_part(const uint16_t* p, int64_t n) { return load_f16_part(p, n); }
};
struct Bf16Row {
  using Element = uint16_t;
  static Part load(const uint16_t* p) { return part_load_bf16(p); }
  static Floats load_part(const uint16_t* p, int64_t n) { return load_bf16_part(p, n); }
};

// The accumulators of a tile, part by part; at [part][token * kRows + row].
template <int kRows, int kTokens>
struct TileSums {
  Part of[kParts][kRows * kTokens];
};

template <int kRows, int kTokens>
inline void store_sums(const FloatDots& d, const TileSums<kRows, kTokens>& sums, int64_t row, int64_t token) {
  constexpr int kSums = kRows * kTokens, kFours = kSums / 4 * 4;
  float total[kSums];
  const auto at = [&](int i) { return from_parts(&sums.of[0][i], kSums); };
#pragma GCC unroll 8
  for (int i = 0; i < kFours; i += 4) sum4(at(i), at(i + 1), at(i + 2), at(i + 3), total + i);
#pragma GCC unroll 8
  for (int i = kFours; i < kSums; ++i) total[i] = sum(at(i));
  for (int t = 0; t < kTokens; ++t)
    for (int r = 0; r < kRows; ++r) d.out[(token + t) * d.out_stride + row + r] = total[t * kRows + r];
}

template <class Row, int kRows>
struct TileRows {
  const typename Row::Element* w[kRows];
};

// Adds values [from, to) of k, a multiple of 16, to one part of the sums; they begin with value 0.
template <class Row, int kRows, int kTokens>
inline void add_range(const FloatDots& d, const TileRows<Row, kRows>& rows, const float* x, int64_t from,
                      int64_t to, int part, TileSums<kRows, kTokens>& sums) {
  Part acc[kTokens * kRows];
#pragma GCC unroll 32
  for (int i = 0; i < kTokens * kRows; ++i) acc[i] = from == 0 ? part_zero() : sums.of[part][i];
  for (int64_t i = from + part * kPartLanes; i < to; i += 16) {
    Part v[kTokens];
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) v[t] = part_load(x + t * d.x_stride + i);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Part weight = Row::load(rows.w[r] + i);
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) acc[t * kRows + r] = part_fma(weight, v[t], acc[t * kRows + r]);
    }
  }
#pragma GCC unroll 32
  for (int i = 0; i < kTokens * kRows; ++i) sums.of[part][i] = acc[i];
}

// The last n < 16 values, zeros beyond them.
template <class Row, int kRows, int kTokens>
inline void add_tail(const FloatDots& d, const TileRows<Row, kRows>& rows, const float* x, int64_t from,
                     int64_t n, TileSums<kRows, kTokens>& sums) {
  for (int r = 0; r < kRows; ++r) {
    const Floats weight = Row::load_part(rows.w[r] + from, n);
    for (int t = 0; t < kTokens; ++t) {
      const Floats v = load_part(x + t * d.x_stride + from, n);
      for (int part = 0; part < kParts; ++part) {
        Part& s = sums.of[part][t * kRows + r];
        s = part_fma(part_of(weight, part), part_of(v, part), from == 0 ? part_zero() : s);
      }
    }
  }
}

// kRows rows with kTokens tokens. Where sixteen lanes are several registers, each is summed in a pass of its
// own over a piece of k that stays in the first-level cache: more rows and tokens then share a load.
template <class Row, int kRows, int kTokens>
inline void dot_tile(const FloatDots& d, int64_t row, int64_t token) {
  TileRows<Row, kRows> rows;
  for (int r = 0; r < kRows; ++r)
    rows.w[r] = reinterpret_cast<const typename Row::Element*>(static_cast<const uint8_t*>(d.weights) +
                                                               (row + r) * d.weight_stride);
  const float* x = d.x + token * d.x_stride;
  TileSums<kRows, kTokens> sums;
  const int64_t whole = d.k / 16 * 16, piece = kParts == 1 ? whole : 512;
  for (int64_t from = 0; from < whole; from += piece) {
    const int64_t to = from + piece < whole ? from + piece : whole;
    for (int part = 0; part < kParts; ++part)
      add_range<Row, kRows, kTokens>(d, rows, x, from, to, part, sums);
  }
  if (whole < d.k) add_tail<Row, kRows, kTokens>(d, rows, x, whole, d.k - whole, sums);
  store_sums<kRows, kTokens>(d, sums, row, token);
}

// kRows rows with the n_tokens < kTokens + 1 tokens that are left.
template <class Row, int kRows, int kTokens>
inline void dot_tail(const FloatDots& d, int64_t row, int64_t token, int64_t n_tokens) {
  if constexpr (kTokens > 0) {
    if (n_tokens == kTokens)
      dot_tile<Row, kRows, kTokens>(d, row, token);
    else
      dot_tail<Row, kRows, kTokens - 1>(d, row, token, n_tokens);
  }
}

// Of the tokens that are left. One alone has too few sums to keep the multipliers busy, so two tiles share the
// last ones.
inline int64_t tokens_at_once(int64_t n_left) {
  if (n_left >= 2 * kTileTokens) return kTileTokens;
  return n_left > kTileTokens ? (n_left + 1) / 2 : n_left;
}

// Panels of a few rows stay in the first caches while all tokens pass, and the next panel is fetched
// meanwhile.
template <class Row>
void float_dots(const FloatDots& d) {
  constexpr int64_t kPanel = 4 * kTileRows;
  const int64_t row_bytes = d.k * static_cast<int64_t>(sizeof(typename Row::Element));
  const int64_t n_tiles = (d.n_tokens + kTileTokens - 1) / kTileTokens * (kPanel / kTileRows);
  for (int64_t panel = 0; panel < d.n_rows; panel += kPanel) {
    const int64_t end = panel + kPanel < d.n_rows ? panel + kPanel : d.n_rows;
    const int64_t n_behind = d.n_rows + d.n_next - panel - kPanel;
    Ahead ahead(static_cast<const uint8_t*>(d.weights) + (panel + kPanel) * d.weight_stride, d.weight_stride,
                n_behind < kPanel ? n_behind : kPanel, row_bytes, n_tiles);
    for (int64_t token = 0, n; token < d.n_tokens; token += n) {
      n = tokens_at_once(d.n_tokens - token);
      int64_t row = panel;
      for (; row + kTileRows <= end; row += kTileRows) {
        ahead.fetch();
        dot_tail<Row, kTileRows, kTileTokens>(d, row, token, n);
      }
      for (; row < end; ++row) dot_tail<Row, 1, kTileTokens>(d, row, token, n);
    }
  }
}

}  // namespace
}  // namespace carat
