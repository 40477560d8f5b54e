// IQ3_XXS: two vectors share seven signs, eight a scale.
#include "quant/iq3_xxs.h"

#include "quant/block.h"
#include "quant/iq_grids.h"
#include "quant/super_block.h"

namespace carat {

void decode_iq3_xxs(const std::byte* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const BlockIQ3_XXS*>(blocks);
  for (int64_t i = 0; i < n; i += kSuperBlock, ++block) {
    const float d = load_f16(block->d);
    for (int b = 0; b < 8; ++b) {
      const uint32_t signs = load_u32(block->signs[b]);
      const float step = d * (static_cast<float>(signs >> 28) + 0.5f) * 0.5f;
      const uint8_t* qs = block->qs + 8 * b;
      for (int l = 0; l < 4; ++l, out += 8) {
        const unsigned eight = even_signs(signs >> 7 * l & 127);
        scale_with_signs(step, kIQ3XXSGrid[qs[2 * l]], eight, out);
        scale_with_signs(step, kIQ3XXSGrid[qs[2 * l + 1]], eight >> 4, out + 4);
      }
    }
  }
}

void set_scale_iq3_xxs(float d, std::byte* block) { store_f16(reinterpret_cast<BlockIQ3_XXS*>(block)->d, d); }

}  // namespace carat
