// The reference encoders' searches for the scale (and minimum) of a block, bit for bit: every sum runs in
// index order in binary32, and candidates are tried in the reference's order. Each search fits four blocks at
// once, one per lane.
#pragma once

#include <cstdint>

#include "quant/lanes.h"

namespace carat {

// Element i of four consecutive blocks of n floats: out[i] = {blocks[i], blocks[n + i], blocks[2n + i], …}.
void interleave(const float* blocks, int n, F32x4* out);

// x ~ scale * (code - half), codes 0 … 2 half - 1: the weighted least-squares scale of the best of 19 trial
// scales around the one that puts the extreme element on -half. A block of zeros gets scale 0 and codes 0.
// x[n], w[n]; codes[4 * n], block after block.
F32x4 fit_symmetric(int n, int half, const F32x4* x, const F32x4* w, uint8_t* codes);

}  // namespace carat
