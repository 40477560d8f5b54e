// Q5_0: Q4_0's rules with one more bit.
#include "quant/q5_0.h"

#include "quant/blocks32.h"

namespace carat {
namespace {

void store_block(float d, const uint8_t* code, BlockQ5_0& block) {
  store_f16(block.d, d);
  pack_fifth_bits(code, block.qh);
  pack_nibbles(code, block.qs);
}

void encode_block(const float* x, BlockQ5_0& block) {
  const float d = signed_extreme(x, 32) / -16;
  const float inverse = d != 0 ? 1 / d : 0;
  uint8_t code[32];
  truncate_codes(x, inverse, 16.5f, 31, code);
  store_block(d, code, block);
}

}  // namespace

void decode_q5_0(const std::byte* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const BlockQ5_0*>(blocks);
  for (int64_t b = 0; b < n / 32; ++b, ++block, out += 32) {
    const float d = load_f16(block->d);
    const uint32_t qh = load_u32(block->qh);
    for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(five_bit_code(block->qs, qh, i) - 16) * d;
  }
}

void encode_q5_0(const float* row, int64_t n, const float* importance, std::byte* blocks) {
  auto* block = reinterpret_cast<BlockQ5_0*>(blocks);
  if (importance == nullptr) {
    for (int64_t b = 0; b < n / 32; ++b) encode_block(row + 32 * b, block[b]);
    return;
  }
  for_each_four_blocks(row, importance, n, [&](const F32x4* x, const F32x4* w, int64_t first, int n_here) {
    uint8_t codes[kLanes * 32];
    const F32x4 scale = fit_symmetric(32, 16, x, w, codes);
    for (int b = 0; b < n_here; ++b) store_block(scale[b], codes + 32 * b, block[first + b]);
  });
}

}  // namespace carat
