// IQ2_XS: index and signs share 16 bits; two vectors share a scale.
#include "quant/iq2_xs.h"

#include "quant/block.h"
#include "quant/iq_grids.h"
#include "quant/super_block.h"

namespace carat {

void decode_iq2_xs(const std::byte* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const BlockIQ2_XS*>(blocks);
  for (int64_t i = 0; i < n; i += kSuperBlock, ++block) {
    const float d = load_f16(block->d);
    for (int k = 0; k < 32; ++k, out += 8) {
      const int scale = block->scales[k / 4] >> 4 * (k / 2 % 2) & 15;
      const float step = d * (static_cast<float>(scale) + 0.5f) * 0.25f;
      const unsigned code = load_u16(block->qs[k]);
      scale_with_signs(step, kIQ2XSGrid[code & 511], even_signs(code >> 9), out);
    }
  }
}

void set_scale_iq2_xs(float d, std::byte* block) { store_f16(reinterpret_cast<BlockIQ2_XS*>(block)->d, d); }

}  // namespace carat
