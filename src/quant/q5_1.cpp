// Q5_1: the block's range in 31 steps; with importance, scale and minimum are searched together.
#include "quant/q5_1.h"

#include "quant/blocks32.h"

namespace carat {
namespace {

void store_block(float d, float m, const uint8_t* code, BlockQ5_1& block) {
  store_f16(block.d, d);
  store_f16(block.m, m);
  pack_fifth_bits(code, block.qh);
  pack_nibbles(code, block.qs);
}

void encode_block(const float* x, BlockQ5_1& block) {
  const Range range = range_of(x);
  const float d = (range.high - range.low) / 31;
  const float inverse = d != 0 ? 1 / d : 0;
  float above[32];
  for (int i = 0; i < 32; ++i) above[i] = x[i] - range.low;
  uint8_t code[32];
  truncate_codes(above, inverse, 0.5f, 31, code);
  store_block(d, range.low, code, block);
}

}  // namespace

void decode_q5_1(const std::byte* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const BlockQ5_1*>(blocks);
  for (int64_t b = 0; b < n / 32; ++b, ++block, out += 32) {
    const float d = load_f16(block->d), m = load_f16(block->m);
    const uint32_t qh = load_u32(block->qh);
    for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(five_bit_code(block->qs, qh, i)) * d + m;
  }
}

void encode_q5_1(const float* row, int64_t n, const float* importance, std::byte* blocks) {
  auto* block = reinterpret_cast<BlockQ5_1*>(blocks);
  if (importance == nullptr) {
    for (int64_t b = 0; b < n / 32; ++b) encode_block(row + 32 * b, block[b]);
    return;
  }
  for_each_four_blocks(row, importance, n, [&](const F32x4* x, const F32x4* w, int64_t first, int n_here) {
    uint8_t codes[kLanes * 32];
    const AffineFit fit = fit_affine(32, 31, kWeightedAffine, x, w, codes);
    for (int b = 0; b < n_here; ++b)
      store_block(fit.scale[b], -fit.minus[b], codes + 32 * b, block[first + b]);
  });
}

}  // namespace carat
