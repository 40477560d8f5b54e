// What the formats of 32-element blocks (Q4_0, Q4_1, Q5_0, Q5_1) share: how codes are packed, and how the
// importance-weighted encoders walk along a row.
#pragma once

#include <algorithm>

#include "quant/block.h"
#include "quant/scale_search.h"
#include "quant/weighting.h"

namespace carat {

// code[0 … 31], four bits each, to qs[16].
inline void pack_nibbles(const uint8_t* code, uint8_t* qs) {
  for (int j = 0; j < 16; ++j) qs[j] = static_cast<uint8_t>((code[j] & 15) | (code[j + 16] & 15) << 4);
}

// Bit 4 of code[0 … 31] to qh[4].
inline void pack_fifth_bits(const uint8_t* code, uint8_t* qh) {
  uint32_t bits = 0;
  for (int i = 0; i < 32; ++i) bits |= uint32_t{code[i] >> 4 & 1u} << i;
  store_u32(qh, bits);
}

// The five-bit code of element i.
inline int five_bit_code(const uint8_t* qs, uint32_t qh, int i) {
  const int low = i < 16 ? qs[i] & 15 : qs[i - 16] >> 4;
  return low | static_cast<int>(qh >> i & 1u) << 4;
}

// truncate_to_code of x * inverse + offset for a whole block.
inline void truncate_codes(const float* x, float inverse, float offset, int top, uint8_t* code) {
  for (int i = 0; i < 32; i += kLanes) {
    const I32x4 codes = truncate_to_code(load4(x + i) * inverse + offset, top);
    for (int lane = 0; lane < kLanes; ++lane) code[i + lane] = static_cast<uint8_t>(codes[lane]);
  }
}

struct Range {
  float low, high;
};

// Of 32 elements; NaNs are ignored.
inline Range range_of(const float* x) {
  Range range{x[0], x[0]};
  for (int i = 1; i < 32; ++i) {
    range.low = x[i] < range.low ? x[i] : range.low;
    range.high = x[i] > range.high ? x[i] : range.high;
  }
  return range;
}

// Calls encode(x, w, b, n_here) for blocks b … b + n_here - 1 of the row, up to four at once: x[32] and w[32]
// are their elements and weights side by side (zeros where there is no block). The variance is that of the
// whole row.
template <class Encode>
void for_each_four_blocks(const float* row, const float* importance, int64_t n, Encode&& encode) {
  const float variance = sum_of_squares(row, n) / static_cast<float>(n);
  for (int64_t b = 0; b < n / 32; b += kLanes) {
    const int n_here = static_cast<int>(std::min<int64_t>(kLanes, n / 32 - b));
    float values[kLanes * 32] = {}, weights[kLanes * 32] = {};
    std::copy_n(row + 32 * b, 32 * n_here, values);
    weigh(values, importance + 32 * b, variance, 32 * n_here, weights);
    F32x4 x[32], w[32];
    interleave(values, 32, x);
    interleave(weights, 32, w);
    encode(x, w, b, n_here);
  }
}

// The weighted search of Q4_1 and Q5_1.
inline constexpr AffineSearch kWeightedAffine = {-0.9f, 0.05f, 36, false};

}  // namespace carat
