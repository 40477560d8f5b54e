// IQ2_XXS: one scale per 32 elements, in the bits that the signs leave free.
#include "quant/iq2_xxs.h"

#include "quant/block.h"
#include "quant/iq_grids.h"
#include "quant/super_block.h"

namespace carat {

void decode_iq2_xxs(const std::byte* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const BlockIQ2_XXS*>(blocks);
  for (int64_t i = 0; i < n; i += kSuperBlock, ++block) {
    const float d = load_f16(block->d);
    for (const BlockIQ2_XXS::Part& part : block->parts) {
      const uint32_t signs = load_u32(part.signs);
      const float step = d * (static_cast<float>(signs >> 28) + 0.5f) * 0.25f;
      for (int k = 0; k < 4; ++k, out += 8)
        scale_with_signs(step, kIQ2XXSGrid[part.indices[k]], even_signs(signs >> 7 * k & 127), out);
    }
  }
}

void set_scale_iq2_xxs(float d, std::byte* block) { store_f16(reinterpret_cast<BlockIQ2_XXS*>(block)->d, d); }

}  // namespace carat
