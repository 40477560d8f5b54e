// IQ3_S: all signs are stored; eight vectors share an odd scale.
#include "quant/iq3_s.h"

#include "quant/block.h"
#include "quant/iq_grids.h"
#include "quant/super_block.h"

namespace carat {

void decode_iq3_s(const std::byte* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const BlockIQ3_S*>(blocks);
  for (int64_t i = 0; i < n; i += kSuperBlock, ++block) {
    const float d = load_f16(block->d);
    for (int k = 0; k < 64; ++k, out += 4) {
      const int scale = block->scales[k / 16] >> 4 * (k / 8 % 2) & 15;
      const float step = d * static_cast<float>(2 * scale + 1);
      const size_t high = block->qh[k / 8] >> k % 8 & 1u;
      const unsigned signs = static_cast<unsigned>(block->signs[k / 2]) >> 4 * (k % 2);
      scale_with_signs(step, kIQ3SGrid[block->qs[k] | high << 8], signs, out);
    }
  }
}

void set_scale_iq3_s(float d, std::byte* block) { store_f16(reinterpret_cast<BlockIQ3_S*>(block)->d, d); }

}  // namespace carat
