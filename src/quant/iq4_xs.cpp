// IQ4_XS: the super-scale puts the extreme sub-block scale on -32; codes are made with the super-scale as it
// was before it was rounded to F16.
#include "quant/iq4_xs.h"

#include "quant/blocks32.h"
#include "quant/iq4.h"
#include "quant/super_block.h"

namespace carat {
namespace {

void encode_block(const float* x, const float* importance, BlockIQ4_XS& block) {
  float weights[kSuperBlock], scale[8];
  weigh_iq4(x, importance, sum_of_squares(x, kSuperBlock) * (2.0f / kSuperBlock), kSuperBlock, weights);
  for (int first = 0; first < kSuperBlock; first += kLanes * 32) {
    F32x4 value[32], weight[32];
    interleave(x + first, 32, value);
    interleave(weights + first, 32, weight);
    store4(scale + first / 32, fit_iq4(value, weight));
  }
  const float d = -signed_extreme(scale, 8) / 32;
  const float inverse = d != 0 ? 1 / d : 0;
  store_f16(block.d, d);
  uint32_t high_bits = 0;
  for (int b = 0; b < 8; ++b) {
    const int level = std::clamp(nearest(inverse * scale[b]), -32, 31);
    const float step = d * static_cast<float>(level);
    uint8_t codes[32];
    nearest_iq4(x + 32 * b, step != 0 ? 1 / step : 0, 32, codes);
    pack_nibbles(codes, block.qs + 16 * b);
    const auto stored = static_cast<uint32_t>(level + 32);
    high_bits |= stored >> 4 << 2 * b;
    const auto low = static_cast<uint8_t>(stored & 15);
    block.scales_l[b / 2] = static_cast<uint8_t>(b % 2 == 0 ? low : block.scales_l[b / 2] | low << 4);
  }
  store_u16(block.scales_h, static_cast<uint16_t>(high_bits));
}

}  // namespace

void decode_iq4_xs(const std::byte* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const BlockIQ4_XS*>(blocks);
  for (int64_t i = 0; i < n; i += kSuperBlock, ++block) {
    const float d = load_f16(block->d);
    const int high_bits = load_u16(block->scales_h);
    for (int b = 0; b < 8; ++b, out += 32) {
      const int low = block->scales_l[b / 2] >> 4 * (b % 2) & 15;
      const float step = d * static_cast<float>((low | (high_bits >> 2 * b & 3) << 4) - 32);
      const uint8_t* qs = block->qs + 16 * b;
      for (int j = 0; j < 16; ++j) {
        out[j] = step * static_cast<float>(kIQ4Grid[qs[j] & 15]);
        out[j + 16] = step * static_cast<float>(kIQ4Grid[qs[j] >> 4]);
      }
    }
  }
}

void encode_iq4_xs(const float* row, int64_t n, const float* importance, std::byte* blocks) {
  encode_super_blocks<BlockIQ4_XS>(row, n, importance, blocks, encode_block);
}

}  // namespace carat
