// The non-uniform 4-bit grid of IQ4_NL and IQ4_XS, and the search for a block's scale on it.
#pragma once

#include <cstdint>

#include "quant/lanes.h"

namespace carat {

inline constexpr int8_t kIQ4Grid[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                        1,    13,   25,  38,  53,  69,  89,  113};

// codes[i] = the index of the grid value nearest to inverse * x[i]; the upper one on ties. n is a multiple
// of 4.
void nearest_iq4(const float* x, float inverse, int n, uint8_t* codes);

// The weights of n elements: importance with the block's variance, or x^2 where there is none.
void weigh_iq4(const float* x, const float* importance, float variance, int n, float* w);

// Scales of four blocks of 32 (x[32], w[32], one block per lane): the weighted least-squares scale of the
// best of 16 trial scales. A block of zeros gets 0.
F32x4 fit_iq4(const F32x4* x, const F32x4* w);

}  // namespace carat
