// Q2_K: without importance, sub-blocks are fitted by absolute error with weights |x|.
#include "quant/q2_k.h"

#include "quant/block.h"
#include "quant/super_block.h"

namespace carat {
namespace {

constexpr AffineFormat kFormat = {16, 3, 15, {-0.5f, 0.1f, 15, true}, false, 1};

void encode_block(const float* x, const float* importance, BlockQ2_K& block) {
  AffineSuperBlock fit;
  fit_affine_super_block(kFormat, x, importance, fit);
  for (int s = 0; s < 16; ++s) {
    block.scales[s] = static_cast<uint8_t>(fit.scale[s] | fit.minimum[s] << 4);
    fit.scale[s] = block.scales[s] & 15;
    fit.minimum[s] = block.scales[s] >> 4;
  }
  recode_affine(kFormat, x, fit);
  for (int h = 0; h < 2; ++h) {
    const uint8_t* code = fit.code + 128 * h;
    for (int l = 0; l < 32; ++l)
      block.qs[32 * h + l] =
          static_cast<uint8_t>(code[l] | code[l + 32] << 2 | code[l + 64] << 4 | code[l + 96] << 6);
  }
  store_u16(block.d, fit.d);
  store_u16(block.dmin, fit.dmin);
}

}  // namespace

void decode_q2_k(const std::byte* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const BlockQ2_K*>(blocks);
  for (int64_t b = 0; b < n / kSuperBlock; ++b, ++block, out += kSuperBlock) {
    const float d = load_f16(block->d), dmin = load_f16(block->dmin);
    for (int s = 0; s < 16; ++s) {
      const float scale = d * static_cast<float>(block->scales[s] & 15);
      const float minus = dmin * static_cast<float>(block->scales[s] >> 4);
      const uint8_t* qs = block->qs + 32 * (s / 8) + 16 * (s % 2);
      const int shift = 2 * (s % 8 / 2);
      for (int i = 0; i < 16; ++i) out[16 * s + i] = scale * static_cast<float>(qs[i] >> shift & 3) - minus;
    }
  }
}

void encode_q2_k(const float* row, int64_t n, const float* importance, std::byte* blocks) {
  encode_super_blocks<BlockQ2_K>(row, n, importance, blocks, encode_block);
}

}  // namespace carat
