// The fit of K super-blocks.
#include "quant/super_block.h"

#include <algorithm>
#include <cmath>

#include "quant/block.h"
#include "quant/weighting.h"

namespace carat {
namespace {

constexpr AffineSearch kWeightedSearch = {-0.9f, 0.05f, 36, false};

// x and w of one super-block, and what their fit yields, by sub-block.
struct SubBlocks {
  float scale[16], minus[16], weight[16];  // weight: the sum over the sub-block
};

void weigh_plain(const AffineFormat& format, const F32x4* x, F32x4* w) {
  F32x4 rms{};
  if (format.weights_plus_rms) {
    for (int i = 0; i < format.sub_length; ++i) rms += x[i] * x[i];
    rms /= static_cast<float>(format.sub_length);
    for (int lane = 0; lane < kLanes; ++lane) rms[lane] = std::sqrt(rms[lane]);
    for (int i = 0; i < format.sub_length; ++i) w[i] = rms + abs(x[i]);
  } else {
    for (int i = 0; i < format.sub_length; ++i) w[i] = abs(x[i]);
  }
}

void fit_sub_blocks(const AffineFormat& format, const float* x, const float* importance, SubBlocks& subs,
                    uint8_t* code) {
  const int length = format.sub_length;
  float weights[kSuperBlock];
  if (importance != nullptr) {
    const float variance = format.variance_factor * sum_of_squares(x, kSuperBlock) / kSuperBlock;
    weigh(x, importance, variance, kSuperBlock, weights);
  }
  for (int first = 0; first < kSuperBlock; first += kLanes * length) {
    F32x4 value[kLongestSearch], weight[kLongestSearch], sum{};
    interleave(x + first, length, value);
    if (importance != nullptr) {
      interleave(weights + first, length, weight);
    } else {
      weigh_plain(format, value, weight);
    }
    for (int i = 0; i < length; ++i) sum += weight[i];
    const AffineSearch& search = importance != nullptr ? kWeightedSearch : format.search;
    const AffineFit fit = fit_affine(length, format.top, search, value, weight, code + first);
    store4(subs.scale + first / length, fit.scale);
    store4(subs.minus + first / length, fit.minus);
    store4(subs.weight + first / length, sum);
  }
}

// Without importance the largest scale becomes `top` and the others are rounded. Returns the super-scale in
// F16.
uint16_t quantize_scales(const float* scale, int n, int top, uint8_t* out) {
  float largest = 0;
  for (int s = 0; s < n; ++s) largest = scale[s] > largest ? scale[s] : largest;
  const float inverse = largest > 0 ? static_cast<float>(top) / largest : 0;
  for (int s = 0; s < n; ++s) {
    const auto code = static_cast<uint8_t>(nearest(inverse * scale[s]));
    out[s] = std::min(code, static_cast<uint8_t>(top));
  }
  return f32_to_f16(largest / static_cast<float>(top));
}

// With importance both scales and minima go through a search of their own, side by side.
void search_scales(const SubBlocks& subs, int n, int top, AffineSuperBlock& out) {
  F32x4 x[16], w[16];
  for (int s = 0; s < n; ++s) {
    x[s] = F32x4{subs.scale[s], subs.minus[s], 0, 0};
    w[s] = splat(subs.weight[s]);
  }
  uint8_t codes[kLanes * 16];
  const F32x4 super_scale = fit_nonnegative(n, top, x, w, codes);
  std::copy_n(codes, n, out.scale);
  std::copy_n(codes + n, n, out.minimum);
  out.d = f32_to_f16(super_scale[0]);
  out.dmin = f32_to_f16(super_scale[1]);
}

}  // namespace

void fit_affine_super_block(const AffineFormat& format, const float* x, const float* importance,
                            AffineSuperBlock& out) {
  const int n_subs = kSuperBlock / format.sub_length;
  SubBlocks subs;
  fit_sub_blocks(format, x, importance, subs, out.code);
  if (importance != nullptr) {
    search_scales(subs, n_subs, format.scale_top, out);
  } else {
    out.d = quantize_scales(subs.scale, n_subs, format.scale_top, out.scale);
    out.dmin = quantize_scales(subs.minus, n_subs, format.scale_top, out.minimum);
  }
}

void recode_affine(const AffineFormat& format, const float* x, AffineSuperBlock& fit) {
  const float d = f16_to_f32(fit.d), dmin = f16_to_f32(fit.dmin);
  for (int first = 0; first < kSuperBlock; first += format.sub_length) {
    const int s = first / format.sub_length;
    const float scale = d * static_cast<float>(fit.scale[s]);
    if (scale == 0) continue;
    const float minus = dmin * static_cast<float>(fit.minimum[s]);
    for (int i = first; i < first + format.sub_length; i += kLanes) {
      const I32x4 code = min(max(nearest((load4(x + i) + minus) / scale), splat(0)), splat(format.top));
      for (int lane = 0; lane < kLanes; ++lane) fit.code[i + lane] = static_cast<uint8_t>(code[lane]);
    }
  }
}

void recode_symmetric(int half, float d, const int* scale, const float* x, uint8_t* code) {
  for (int first = 0; first < kSuperBlock; first += 16) {
    const float step = d * static_cast<float>(scale[first / 16]);
    if (step == 0) continue;
    for (int i = first; i < first + 16; i += kLanes) {
      const I32x4 l = min(max(nearest(load4(x + i) / step), splat(-half)), splat(half - 1)) + half;
      for (int lane = 0; lane < kLanes; ++lane) code[i + lane] = static_cast<uint8_t>(l[lane]);
    }
  }
}

}  // namespace carat
