// The reference encoders' searches for the scale (and minimum) of a block, bit for bit: every sum runs in
// index order in binary32, and candidates are tried in the reference's order. Each search fits four blocks at
// once, one per lane: x[n] holds the elements, w[n] their weights, codes[4 * n] receives the codes, block
// after block.
#pragma once

#include <cstdint>

#include "quant/lanes.h"

namespace carat {

inline constexpr int kLongestSearch = 32;     // elements of a block
inline constexpr float kNegligible = 1e-15f;  // a block whose largest magnitude is below this counts as zero

// Element i of four consecutive blocks of n floats: out[i] = {blocks[i], blocks[n + i], blocks[2n + i], …}.
void interleave(const float* blocks, int n, F32x4* out);

// Per lane: the first element of the largest magnitude.
F32x4 extreme_element(int n, const F32x4* x);

// x ~ scale * (code - half), codes 0 … 2 half - 1: the weighted least-squares scale of the best of 19 trial
// scales around the one that puts the extreme element on -half. A block of zeros gets scale 0 and codes 0.
F32x4 fit_symmetric(int n, int half, const F32x4* x, const F32x4* w, uint8_t* codes);

// Which trial scales fit_affine visits: range / (top + first + step * t), t = 0 … n_steps, and by what it
// judges them.
struct AffineSearch {
  float first, step;
  int n_steps;
  bool absolute;  // by the weighted sum of absolute errors instead of squares
};

struct AffineFit {
  F32x4 scale, minus;
};

// x ~ scale * code - minus, codes 0 … top, minus >= 0.
AffineFit fit_affine(int n, int top, const AffineSearch& search, const F32x4* x, const F32x4* w,
                     uint8_t* codes);

// x ~ scale * code, codes 0 … top, for x >= 0: nine trial scales, then single codes are moved while that
// helps.
F32x4 fit_nonnegative(int n, int top, const F32x4* x, const F32x4* w, uint8_t* codes);

// x ~ scale * (code - 4), codes 0 … 7, weights x^2: one trial scale, then single codes are moved while that
// helps.
F32x4 fit_3bit(int n, const F32x4* x, uint8_t* codes);

}  // namespace carat
