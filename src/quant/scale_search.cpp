// The scale searches, four blocks at a time.
#include "quant/scale_search.h"

namespace carat {
namespace {

constexpr float kNegligible = 1e-15f;  // below this magnitude, the reference calls a block zero

// nearest() of lanes.h as a float, clamped; for |v| <= 4194303.
F32x4 nearest_clamped(F32x4 v, float low, float high) {
  return min(max((v + 12582912.0f) - 12582912.0f, splat(low)), splat(high));
}

// Per lane: the first element of the largest magnitude.
F32x4 signed_extreme(int n, const F32x4* x) {
  F32x4 extreme = splat(0.0f), largest = splat(0.0f);
  for (int i = 0; i < n; ++i) {
    const F32x4 magnitude = abs(x[i]);
    extreme = select(magnitude > largest, x[i], extreme);
    largest = max(magnitude, largest);
  }
  return extreme;
}

void store_codes(int n, int i, I32x4 code, uint8_t* codes) {
  for (int lane = 0; lane < kLanes; ++lane) codes[lane * n + i] = static_cast<uint8_t>(code[lane]);
}

}  // namespace

void interleave(const float* blocks, int n, F32x4* out) {
  for (int i = 0; i < n; ++i) out[i] = F32x4{blocks[i], blocks[n + i], blocks[2 * n + i], blocks[3 * n + i]};
}

F32x4 fit_symmetric(int n, int half, const F32x4* x, const F32x4* w, uint8_t* codes) {
  const F32x4 extreme = signed_extreme(n, x);
  const float low = static_cast<float>(-half), high = static_cast<float>(half - 1);
  F32x4 scale{}, best{}, best_inverse{};
  for (int trial = 0; trial < 19; ++trial) {
    const int step = trial == 0 ? 0 : trial <= 9 ? trial - 10 : trial - 9;  // 0, -9 … -1, 1 … 9
    const F32x4 inverse = -(static_cast<float>(half) + 0.1f * static_cast<float>(step)) / extreme;
    F32x4 sum_xl{}, sum_ll{};
    for (int i = 0; i < n; ++i) {
      const F32x4 l = nearest_clamped(inverse * x[i], low, high);
      sum_xl += w[i] * x[i] * l;
      sum_ll += w[i] * l * l;
    }
    const I32x4 usable = sum_ll > 0.0f;
    I32x4 better = usable & (sum_xl * sum_xl > best * sum_ll);
    if (trial == 0) better = splat(-1);
    const F32x4 fitted = select(usable, sum_xl / sum_ll, splat(0.0f));
    scale = select(better, fitted, scale);
    best = select(better, fitted * sum_xl, best);
    best_inverse = select(better, inverse, best_inverse);
  }
  const I32x4 nonzero = abs(extreme) >= kNegligible;
  for (int i = 0; i < n; ++i) {
    const I32x4 code = min(max(nearest(best_inverse * x[i]), splat(-half)), splat(half - 1)) + half;
    store_codes(n, i, nonzero & code, codes);
  }
  return select(nonzero, scale, splat(0.0f));
}

}  // namespace carat
