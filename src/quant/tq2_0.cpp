// TQ2_0: the largest magnitude is the scale. Importance is not used.
#include "quant/tq2_0.h"

#include "quant/block.h"
#include "quant/super_block.h"
#include "quant/ternary.h"

namespace carat {

void decode_tq2_0(const std::byte* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const BlockTQ2_0*>(blocks);
  for (int64_t i = 0; i < n; i += kSuperBlock, ++block) {
    const float d = load_f16(block->d);
    for (int h = 0; h < 2; ++h)
      for (int k = 0; k < 4; ++k)
        for (int l = 0; l < 32; ++l)
          *out++ = d * static_cast<float>((block->qs[32 * h + l] >> 2 * k & 3) - 1);
  }
}

void encode_tq2_0(const float* row, int64_t n, const float*, std::byte* blocks) {
  auto* block = reinterpret_cast<BlockTQ2_0*>(blocks);
  for (int64_t i = 0; i < n; i += kSuperBlock, ++block) {
    const float d = largest_magnitude(row, kSuperBlock);
    const float inverse = d != 0 ? 1 / d : 0;
    for (int h = 0; h < 2; ++h, row += 128)
      for (int l = 0; l < 32; ++l) {
        int codes = 0;
        for (int k = 0; k < 4; ++k) codes |= ternary_code(row[l + 32 * k], inverse, 1) << 2 * k;
        block->qs[32 * h + l] = static_cast<uint8_t>(codes);
      }
    store_f16(block->d, d);
  }
}

}  // namespace carat
