// IQ2_S: all eight signs are stored; two vectors share a scale.
#include "quant/iq2_s.h"

#include "quant/block.h"
#include "quant/iq_grids.h"
#include "quant/super_block.h"

namespace carat {

void decode_iq2_s(const std::byte* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const BlockIQ2_S*>(blocks);
  for (int64_t i = 0; i < n; i += kSuperBlock, ++block) {
    const float d = load_f16(block->d);
    for (int k = 0; k < 32; ++k, out += 8) {
      const int scale = block->scales[k / 4] >> 4 * (k / 2 % 2) & 15;
      const float step = d * (static_cast<float>(scale) + 0.5f) * 0.25f;
      const size_t high = block->qh[k / 4] >> 2 * (k % 4) & 3u;
      scale_with_signs(step, kIQ2SGrid[block->qs[k] | high << 8], block->signs[k], out);
    }
  }
}

void set_scale_iq2_s(float d, std::byte* block) { store_f16(reinterpret_cast<BlockIQ2_S*>(block)->d, d); }

}  // namespace carat
