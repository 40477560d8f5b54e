// Q5_K: Q4_K with one more bit per code and a shorter search.
#include "quant/q5_k.h"

#include <algorithm>

#include "quant/block.h"
#include "quant/six_bit_scales.h"
#include "quant/super_block.h"

namespace carat {
namespace {

constexpr AffineFormat kFormat = {32, 31, 63, {-0.5f, 0.1f, 15, false}, true, 2};

void encode_block(const float* x, const float* importance, BlockQ5_K& block) {
  AffineSuperBlock fit;
  fit_affine_super_block(kFormat, x, importance, fit);
  store_u16(block.d, fit.d);
  store_u16(block.dmin, fit.dmin);
  for (int s = 0; s < 8; ++s) {  // Q4_K's reference lets the byte of a negative scale through, Q5_K's does not
    fit.scale[s] = std::min<uint8_t>(fit.scale[s], 63);
    fit.minimum[s] = std::min<uint8_t>(fit.minimum[s], 63);
  }
  pack_six_bit_scales(fit.scale, fit.minimum, block.scales);
  unpack_six_bit_scales(block.scales, fit.scale, fit.minimum);
  recode_affine(kFormat, x, fit);
  for (int g = 0; g < 4; ++g) {
    const uint8_t* code = fit.code + 64 * g;
    for (int l = 0; l < 32; ++l)
      block.qs[32 * g + l] = static_cast<uint8_t>((code[l] & 15) | (code[l + 32] & 15) << 4);
  }
  for (int l = 0; l < 32; ++l) {
    int high = 0;
    for (int k = 0; k < 8; ++k) high |= fit.code[32 * k + l] >> 4 << k;
    block.qh[l] = static_cast<uint8_t>(high);
  }
}

}  // namespace

void decode_q5_k(const std::byte* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const BlockQ5_K*>(blocks);
  for (int64_t b = 0; b < n / kSuperBlock; ++b, ++block, out += kSuperBlock) {
    const float d = load_f16(block->d), dmin = load_f16(block->dmin);
    uint8_t scale[8], minimum[8];
    unpack_six_bit_scales(block->scales, scale, minimum);
    for (int s = 0; s < 8; ++s) {
      const float step = d * static_cast<float>(scale[s]), minus = dmin * static_cast<float>(minimum[s]);
      const uint8_t* qs = block->qs + 32 * (s / 2);
      const int shift = 4 * (s % 2);
      for (int i = 0; i < 32; ++i) {
        const int code = (qs[i] >> shift & 15) | (block->qh[i] >> s & 1) << 4;
        out[32 * s + i] = step * static_cast<float>(code) - minus;
      }
    }
  }
}

void encode_q5_k(const float* row, int64_t n, const float* importance, std::byte* blocks) {
  encode_super_blocks<BlockQ5_K>(row, n, importance, blocks, encode_block);
}

}  // namespace carat
