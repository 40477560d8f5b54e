// The scale searches, four blocks at a time. Lanes that have finished go on computing (perhaps with NaNs) and
// are masked at the end.
#include "quant/scale_search.h"

#include "base/check.h"

namespace carat {
namespace {

constexpr int kSweeps = 5;  // over the codes, at most
// The reference keeps codes in bytes. That shows where fit_nonnegative meets a (rare) negative scale.
constexpr int kByte = 255;

// nearest() of lanes.h as a float, clamped; for |v| <= 4194303.
F32x4 nearest_clamped(F32x4 v, float low, float high) {
  return min(max((v + 12582912.0f) - 12582912.0f, splat(low)), splat(high));
}

I32x4 clamp(I32x4 v, int low, int high) { return min(max(v, splat(low)), splat(high)); }

void store_codes(int n, int i, I32x4 code, uint8_t* codes) {
  for (int lane = 0; lane < kLanes; ++lane) codes[lane * n + i] = static_cast<uint8_t>(code[lane]);
}

}  // namespace

void interleave(const float* blocks, int n, F32x4* out) {
  for (int i = 0; i < n; ++i) out[i] = F32x4{blocks[i], blocks[n + i], blocks[2 * n + i], blocks[3 * n + i]};
}

F32x4 extreme_element(int n, const F32x4* x) {
  F32x4 extreme = splat(0.0f), largest = splat(0.0f);
  for (int i = 0; i < n; ++i) {
    const F32x4 magnitude = abs(x[i]);
    extreme = select(magnitude > largest, x[i], extreme);
    largest = max(magnitude, largest);
  }
  return extreme;
}

F32x4 fit_symmetric(int n, int half, const F32x4* x, const F32x4* w, uint8_t* codes) {
  const F32x4 extreme = extreme_element(n, x);
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
  for (int i = 0; i < n; ++i)
    store_codes(n, i, nonzero & (clamp(nearest(best_inverse * x[i]), -half, half - 1) + half), codes);
  return select(nonzero, scale, splat(0.0f));
}

namespace {

// The state of fit_affine's search: the best fit so far, and what its codes are made from.
struct AffineState {
  int n, top;
  const F32x4 *x, *w;
  F32x4 smallest, largest;  // elements
  F32x4 sum_w, sum_x;
  I32x4 live;  // lanes whose elements are not all one value
  bool absolute;
  F32x4 minimum, scale, error;
  F32x4 code_inverse, code_origin;  // code = nearest(code_inverse * (x - code_origin))
};

// l[i] = the code of x[i] as a float. All products lie between those of the smallest and the largest element;
// where they may leave nearest_clamped's range (a block of subnormals), the slow way gives the reference's
// codes.
void trial_codes(const AffineState& s, F32x4 inverse, F32x4* l) {
  const F32x4 bottom = abs(inverse * (s.smallest - s.minimum)), peak = abs(inverse * (s.largest - s.minimum));
  const I32x4 in_range = (bottom < 4e6f) & (peak < 4e6f);
  const float top = static_cast<float>(s.top);
  if (any(s.live & ~in_range)) {
    for (int i = 0; i < s.n; ++i) l[i] = to_float(clamp(nearest(inverse * (s.x[i] - s.minimum)), 0, s.top));
  } else {
    for (int i = 0; i < s.n; ++i) l[i] = nearest_clamped(inverse * (s.x[i] - s.minimum), 0, top);
  }
}

F32x4 affine_error(const AffineState& s, F32x4 scale, F32x4 minimum, const F32x4* l) {
  F32x4 sum{};
  if (s.absolute) {
    for (int i = 0; i < s.n; ++i) sum += s.w[i] * abs(scale * l[i] + minimum - s.x[i]);
  } else {
    for (int i = 0; i < s.n; ++i) {
      const F32x4 difference = scale * l[i] + minimum - s.x[i];
      sum += s.w[i] * (difference * difference);
    }
  }
  return sum;
}

AffineState start_affine(int n, int top, bool absolute, const F32x4* x, const F32x4* w) {
  AffineState s{};
  s.n = n, s.top = top, s.x = x, s.w = w, s.absolute = absolute;
  s.smallest = x[0], s.largest = x[0], s.sum_w = w[0], s.sum_x = w[0] * x[0];
  for (int i = 1; i < n; ++i) {
    s.smallest = min(x[i], s.smallest);
    s.largest = max(x[i], s.largest);
    s.sum_w += w[i];
    s.sum_x += w[i] * x[i];
  }
  s.minimum = min(splat(0.0f), s.smallest);  // a smallest of -0 keeps its sign
  s.live = s.largest > s.minimum;
  s.code_inverse = static_cast<float>(top) / (s.largest - s.minimum);
  s.code_origin = s.minimum;
  s.scale = 1.0f / s.code_inverse;
  F32x4 l[kLongestSearch];
  trial_codes(s, s.code_inverse, l);
  s.error = affine_error(s, s.scale, s.minimum, l);
  return s;
}

// One trial: weighted least squares for the codes that `inverse` gives. An accepted minimum is where later
// trials start from, as in the reference.
void try_affine(AffineState& s, F32x4 inverse) {
  F32x4 l[kLongestSearch];
  trial_codes(s, inverse, l);
  F32x4 sum_l{}, sum_ll{}, sum_xl{};
  for (int i = 0; i < s.n; ++i) {
    sum_l += s.w[i] * l[i];
    sum_ll += s.w[i] * l[i] * l[i];
    sum_xl += s.w[i] * l[i] * s.x[i];
  }
  const F32x4 determinant = s.sum_w * sum_ll - sum_l * sum_l;
  F32x4 scale = (s.sum_w * sum_xl - s.sum_x * sum_l) / determinant;
  F32x4 minimum = (sum_ll * s.sum_x - sum_l * sum_xl) / determinant;
  const I32x4 positive = minimum > 0.0f;
  scale = select(positive, sum_xl / sum_ll, scale);
  minimum = select(positive, splat(0.0f), minimum);
  const F32x4 error = affine_error(s, scale, minimum, l);
  const I32x4 better = (determinant > 0.0f) & (error < s.error);
  s.scale = select(better, scale, s.scale);
  s.error = select(better, error, s.error);
  s.code_inverse = select(better, inverse, s.code_inverse);
  s.code_origin = select(better, s.minimum, s.code_origin);
  s.minimum = select(better, minimum, s.minimum);
}

}  // namespace

AffineFit fit_affine(int n, int top, const AffineSearch& search, const F32x4* x, const F32x4* w,
                     uint8_t* codes) {
  CHECK(n <= kLongestSearch);
  AffineState s = start_affine(n, top, search.absolute, x, w);
  const F32x4 constant = -s.minimum;  // for lanes of one value
  for (int t = 0; t <= search.n_steps; ++t) {
    const float levels = search.first + search.step * static_cast<float>(t) + static_cast<float>(top);
    try_affine(s, levels / (s.largest - s.minimum));
  }
  for (int i = 0; i < n; ++i)
    store_codes(n, i, s.live & clamp(nearest(s.code_inverse * (x[i] - s.code_origin)), 0, top), codes);
  return {select(s.live, s.scale, splat(0.0f)), select(s.live, -s.minimum, constant)};
}

namespace {

// The inverse scale, of nine around top / largest, with the least weighted squared error.
F32x4 best_inverse_scale(int n, int top, const F32x4* x, const F32x4* w, F32x4 largest) {
  F32x4 best_inverse = static_cast<float>(top) / largest, best_error{};
  for (int trial = 0; trial < 9; ++trial) {
    const int step = trial == 0 ? 0 : trial <= 4 ? trial - 5 : trial - 4;  // 0, -4 … -1, 1 … 4
    const F32x4 inverse = (0.1f * static_cast<float>(step) + static_cast<float>(top)) / largest;
    const F32x4 scale = 1.0f / inverse;
    F32x4 error{};
    for (int i = 0; i < n; ++i) {
      I32x4 l = nearest(inverse * x[i]);
      l = trial == 0 ? l & kByte : min(l, splat(top));
      const F32x4 difference = x[i] - scale * to_float(l);
      error += w[i] * difference * difference;
    }
    const I32x4 better = trial == 0 ? splat(-1) : error < best_error;
    best_error = select(better, error, best_error);
    best_inverse = select(better, inverse, best_inverse);
  }
  return best_inverse;
}

}  // namespace

F32x4 fit_nonnegative(int n, int top, const F32x4* x, const F32x4* w, uint8_t* codes) {
  CHECK(n <= kLongestSearch);
  F32x4 largest{};
  for (int i = 0; i < n; ++i) largest = max(x[i], largest);
  const F32x4 inverse = best_inverse_scale(n, top, x, w, largest);
  I32x4 code[kLongestSearch];
  F32x4 sum_xl{}, sum_ll{};
  for (int i = 0; i < n; ++i) {
    const I32x4 first = min(nearest(inverse * x[i]), splat(top));
    code[i] = first & kByte;
    const F32x4 l = to_float(first);
    sum_xl += w[i] * x[i] * l;
    sum_ll += w[i] * l * l;
  }
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    I32x4 changed{};
    for (int i = 0; i < n; ++i) {
      const F32x4 old_l = to_float(code[i]);
      F32x4 xl = sum_xl - w[i] * x[i] * old_l, ll = sum_ll - w[i] * old_l * old_l;
      I32x4 better = (xl > 0.0f) & (ll > 0.0f);
      const I32x4 moved = min(nearest(x[i] * ll / xl), splat(top));
      const F32x4 l = to_float(moved);
      xl += w[i] * x[i] * l;
      ll += w[i] * l * l;
      better &= (moved != code[i]) & (xl * xl * sum_ll > sum_xl * sum_xl * ll);
      code[i] = select(better, moved & kByte, code[i]);
      sum_xl = select(better, xl, sum_xl);
      sum_ll = select(better, ll, sum_ll);
      changed |= better;
    }
    if (!any(changed)) break;
  }
  const I32x4 nonzero = largest >= kNegligible;
  for (int i = 0; i < n; ++i) store_codes(n, i, nonzero & code[i], codes);
  return select(nonzero & (sum_ll > 0.0f), sum_xl / sum_ll, splat(0.0f));
}

F32x4 fit_3bit(int n, const F32x4* x, uint8_t* codes) {
  CHECK(n <= kLongestSearch);
  const F32x4 extreme = extreme_element(n, x), inverse = -4.0f / extreme;
  I32x4 code[kLongestSearch];
  F32x4 sum_xl{}, sum_ll{};
  for (int i = 0; i < n; ++i) {
    code[i] = clamp(nearest(inverse * x[i]), -4, 3);
    const F32x4 l = to_float(code[i]), w = x[i] * x[i];
    sum_xl += w * x[i] * l;
    sum_ll += w * l * l;
  }
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    I32x4 changed{};
    for (int i = 0; i < n; ++i) {
      const F32x4 w = x[i] * x[i], old_l = to_float(code[i]);
      F32x4 xl = sum_xl - w * x[i] * old_l, ll = sum_ll - w * old_l * old_l;
      I32x4 better = xl > 0.0f;
      const I32x4 moved = clamp(nearest(x[i] * ll / xl), -4, 3);
      const F32x4 l = to_float(moved);
      xl += w * x[i] * l;
      ll += w * l * l;
      better &= (moved != code[i]) & (ll > 0.0f) & (xl * xl * sum_ll > sum_xl * sum_xl * ll);
      code[i] = select(better, moved, code[i]);
      sum_xl = select(better, xl, sum_xl);
      sum_ll = select(better, ll, sum_ll);
      changed |= better;
    }
    if (!any(changed)) break;
  }
  const I32x4 nonzero = abs(extreme) >= kNegligible;
  for (int i = 0; i < n; ++i) store_codes(n, i, nonzero & (code[i] + 4), codes);
  return select(nonzero, sum_xl / sum_ll, splat(0.0f));
}

}  // namespace carat
