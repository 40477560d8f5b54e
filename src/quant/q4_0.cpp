// Q4_0: the reference scale puts the extreme element on code 0 (-8); with importance a search may clip it.
#include "quant/q4_0.h"

#include "quant/blocks32.h"

namespace carat {
namespace {

void encode_block(const float* x, BlockQ4_0& block) {
  const float d = signed_extreme(x, 32) / -8;
  const float inverse = d != 0 ? 1 / d : 0;
  uint8_t code[32];
  truncate_codes(x, inverse, 8.5f, 15, code);
  store_f16(block.d, d);
  pack_nibbles(code, block.qs);
}

}  // namespace

void decode_q4_0(const std::byte* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const BlockQ4_0*>(blocks);
  for (int64_t b = 0; b < n / 32; ++b, ++block, out += 32) {
    const float d = load_f16(block->d);
    for (int j = 0; j < 16; ++j) {
      out[j] = static_cast<float>((block->qs[j] & 15) - 8) * d;
      out[j + 16] = static_cast<float>((block->qs[j] >> 4) - 8) * d;
    }
  }
}

void encode_q4_0(const float* row, int64_t n, const float* importance, std::byte* blocks) {
  auto* block = reinterpret_cast<BlockQ4_0*>(blocks);
  if (importance == nullptr) {
    for (int64_t b = 0; b < n / 32; ++b) encode_block(row + 32 * b, block[b]);
    return;
  }
  for_each_four_blocks(row, importance, n, [&](const F32x4* x, const F32x4* w, int64_t first, int n_here) {
    uint8_t codes[kLanes * 32];
    const F32x4 scale = fit_symmetric(32, 8, x, w, codes);
    for (int b = 0; b < n_here; ++b) {
      store_f16(block[first + b].d, scale[b]);
      pack_nibbles(codes + 32 * b, block[first + b].qs);
    }
  });
}

}  // namespace carat
