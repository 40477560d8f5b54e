// NVFP4: the scale puts the largest magnitude on 6, the largest FP4 value. Importance is not used, and
// neither is a scale for the tensor: see docs/decisions/0002-nvfp4-encoder.md.
#include "quant/nvfp4.h"

#include "quant/block.h"
#include "quant/fp4.h"

namespace carat {

void decode_nvfp4(const std::byte* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const BlockNVFP4*>(blocks);
  for (int64_t b = 0; b < n / 64; ++b, ++block)
    for (int s = 0; s < 4; ++s, out += 16) {
      const float d = e4m3_half(block->d[s]);
      for (int j = 0; j < 8; ++j) {
        const uint8_t pair = block->qs[8 * s + j];
        out[j] = static_cast<float>(kE2M1Doubled[pair & 15]) * d;
        out[j + 8] = static_cast<float>(kE2M1Doubled[pair >> 4]) * d;
      }
    }
}

void encode_nvfp4(const float* row, int64_t n, const float*, std::byte* blocks) {
  auto* block = reinterpret_cast<BlockNVFP4*>(blocks);
  for (int64_t b = 0; b < n / 64; ++b, ++block)
    for (int s = 0; s < 4; ++s, row += 16) {
      block->d[s] = f32_to_e4m3(largest_magnitude(row, 16) / 6);
      const float d = e4m3_half(block->d[s]);
      for (int j = 0; j < 8; j += kLanes) {
        const I32x4 pair = nearest_fp4(load4(row + j), d) | nearest_fp4(load4(row + j + 8), d) << 4;
        for (int lane = 0; lane < kLanes; ++lane)
          block->qs[8 * s + j + lane] = static_cast<uint8_t>(pair[lane]);
      }
    }
}

}  // namespace carat
