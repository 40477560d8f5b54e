// IQ1_M: 16 elements share a scale; the super-scale lies scattered in the bits that the scales leave free.
#include "quant/iq1_m.h"

#include "quant/block.h"
#include "quant/iq_grids.h"
#include "quant/super_block.h"

namespace carat {

void decode_iq1_m(const std::byte* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const BlockIQ1_M*>(blocks);
  for (int64_t i = 0; i < n; i += kSuperBlock, ++block) {
    unsigned d_bits = 0;
    for (int p = 0; p < 4; ++p) d_bits |= load_u16(block->scales[p]) >> 12u << 4 * p;
    const float d = f16_to_f32(static_cast<uint16_t>(d_bits));
    for (int k = 0; k < 32; ++k, out += 8) {
      const int scale = load_u16(block->scales[k / 8]) >> 3 * (k / 2 % 4) & 7;
      const float step = d * static_cast<float>(2 * scale + 1);
      const unsigned h = static_cast<unsigned>(block->qh[k / 2]) >> 4 * (k % 2);
      shift_and_scale(step, kIQ1Grid[block->qs[k] | (h & 7) << 8], (h & 8) != 0, out);
    }
  }
}

void set_scale_iq1_m(float d, std::byte* block) {
  auto& scales = reinterpret_cast<BlockIQ1_M*>(block)->scales;
  const unsigned d_bits = f32_to_f16(d);
  for (int p = 0; p < 4; ++p)
    store_u16(scales[p], static_cast<uint16_t>((load_u16(scales[p]) & 0xfff) | (d_bits >> 4 * p & 15) << 12));
}

}  // namespace carat
