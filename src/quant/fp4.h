// FP4 (E2M1) codes, as MXFP4 and NVFP4 store them: sign in bit 3, and half-scales that go with the doubled
// values of float_formats.h.
#pragma once

#include <cstdint>

#include "quant/lanes.h"
#include "tensor/float_formats.h"

namespace carat {

// The codes whose value times `half_scale` is nearest to x; the smaller magnitude on ties, 0 for NaN. Zero is
// always the positive one.
inline I32x4 nearest_fp4(F32x4 x, float half_scale) {
  const F32x4 magnitude = abs(x);
  F32x4 best = magnitude;
  I32x4 code{};
  for (int c = 1; c < 8; ++c) {
    const F32x4 distance = abs(static_cast<float>(kE2M1Doubled[c]) * half_scale - magnitude);
    const I32x4 nearer = distance < best;
    best = select(nearer, distance, best);
    code = select(nearer, splat(c), code);
  }
  return code | ((x < 0.0f) & (code != 0) & 8);
}

}  // namespace carat
