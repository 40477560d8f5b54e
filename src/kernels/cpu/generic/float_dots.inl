// Products of float rows. Lanes run along k: a (row, token) pair has one accumulator of sixteen lanes, filled
// in order of k and summed by one tree, whatever tile computes it. That is why a row's bits do not depend on
// the batch.
namespace carat {
namespace {

struct F32Row {
  using Element = float;
  static Floats load(const float* p) { return carat::load(p); }
  static Floats load_part(const float* p, int64_t n) { return carat::load_part(p, n); }
};
struct F16Row {
  using Element = uint16_t;
  static Floats load(const uint16_t* p) { return load_f16(p); }
  static Floats load_part(const uint16_t* p, int64_t n) { return load_f16_part(p, n); }
};
struct Bf16Row {
  using Element = uint16_t;
  static Floats load(const uint16_t* p) { return load_bf16(p); }
  static Floats load_part(const uint16_t* p, int64_t n) { return load_bf16_part(p, n); }
};

template <class Row>
inline const typename Row::Element* row_of(const FloatDots& d, int64_t row) {
  return reinterpret_cast<const typename Row::Element*>(static_cast<const uint8_t*>(d.weights) +
                                                        row * d.weight_stride);
}

template <int kRows, int kTokens>
inline void store_sums(const FloatDots& d, const Floats (&acc)[kRows * kTokens], int64_t row, int64_t token) {
  constexpr int kFours = kRows * kTokens / 4 * 4;
  float sums[kRows * kTokens];
#pragma GCC unroll 8
  for (int i = 0; i < kFours; i += 4) sum4(acc[i], acc[i + 1], acc[i + 2], acc[i + 3], sums + i);
#pragma GCC unroll 8
  for (int i = kFours; i < kRows * kTokens; ++i) sums[i] = sum(acc[i]);
  for (int t = 0; t < kTokens; ++t)
    for (int r = 0; r < kRows; ++r) d.out[(token + t) * d.out_stride + row + r] = sums[t * kRows + r];
}

// kRows rows with kTokens tokens.
template <class Row, int kRows, int kTokens>
inline void dot_tile(const FloatDots& d, int64_t row, int64_t token) {
  const typename Row::Element* w[kRows];
  for (int r = 0; r < kRows; ++r) w[r] = row_of<Row>(d, row + r);
  const float* x = d.x + token * d.x_stride;
  Floats acc[kTokens * kRows];
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t)
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) acc[t * kRows + r] = zero();
  int64_t i = 0;
  for (; i + 16 <= d.k; i += 16) {
    Floats v[kTokens];
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) v[t] = load(x + t * d.x_stride + i);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Floats weight = Row::load(w[r] + i);
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) acc[t * kRows + r] = fma(weight, v[t], acc[t * kRows + r]);
    }
  }
  if (i < d.k) {
    for (int r = 0; r < kRows; ++r) {
      const Floats weight = Row::load_part(w[r] + i, d.k - i);
      for (int t = 0; t < kTokens; ++t)
        acc[t * kRows + r] = fma(weight, load_part(x + t * d.x_stride + i, d.k - i), acc[t * kRows + r]);
    }
  }
  store_sums<kRows, kTokens>(d, acc, row, token);
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

// Panels of a few rows stay in the first caches while all tokens pass.
template <class Row>
void float_dots(const FloatDots& d) {
  constexpr int64_t kPanel = 16;
  for (int64_t panel = 0; panel < d.n_rows; panel += kPanel) {
    const int64_t end = panel + kPanel < d.n_rows ? panel + kPanel : d.n_rows;
    for (int64_t token = 0; token < d.n_tokens; token += kTileTokens) {
      const int64_t n = d.n_tokens - token < kTileTokens ? d.n_tokens - token : kTileTokens;
      int64_t row = panel;
      for (; row + kTileRows <= end; row += kTileRows)
        dot_tail<Row, kTileRows, kTileTokens>(d, row, token, n);
      for (; row < end; ++row) dot_tail<Row, 1, kTileTokens>(d, row, token, n);
    }
  }
}

}  // namespace
}  // namespace carat
