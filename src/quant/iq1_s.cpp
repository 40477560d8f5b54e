// IQ1_S: 32 elements share a scale and a shift.
#include "quant/iq1_s.h"

#include "quant/block.h"
#include "quant/iq_grids.h"
#include "quant/super_block.h"

namespace carat {

void decode_iq1_s(const std::byte* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const BlockIQ1_S*>(blocks);
  for (int64_t i = 0; i < n; i += kSuperBlock, ++block) {
    const float d = load_f16(block->d);
    for (int k = 0; k < 32; ++k, out += 8) {
      const unsigned qh = load_u16(block->qh[k / 4]);
      const float step = d * static_cast<float>(2 * (qh >> 12 & 7) + 1);
      const size_t high = qh >> 3 * (k % 4) & 7;
      shift_and_scale(step, kIQ1Grid[block->qs[k] | high << 8], (qh & 0x8000) != 0, out);
    }
  }
}

void set_scale_iq1_s(float d, std::byte* block) { store_f16(reinterpret_cast<BlockIQ1_S*>(block)->d, d); }

}  // namespace carat
