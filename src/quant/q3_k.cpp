// Q3_K: symmetric sub-blocks; the super-scale puts the extreme sub-block scale on -32, so it is often
// negative.
#include "quant/q3_k.h"

#include <algorithm>

#include "quant/block.h"
#include "quant/super_block.h"
#include "quant/weighting.h"

namespace carat {
namespace {

// The six-bit scales, still centred on 32.
void pack_scales(const uint8_t* scale, uint8_t* packed) {
  for (int j = 0; j < 8; ++j) packed[j] = static_cast<uint8_t>((scale[j] & 15) | (scale[j + 8] & 15) << 4);
  for (int j = 0; j < 4; ++j)
    packed[8 + j] = static_cast<uint8_t>(scale[j] >> 4 | scale[j + 4] >> 4 << 2 | scale[j + 8] >> 4 << 4 |
                                         scale[j + 12] >> 4 << 6);
}

void unpack_scales(const uint8_t* packed, int* scale) {
  for (int j = 0; j < 16; ++j) {
    const int low = j < 8 ? packed[j] & 15 : packed[j - 8] >> 4;
    const int high = packed[8 + j % 4] >> 2 * (j / 4) & 3;
    scale[j] = (low | high << 4) - 32;
  }
}

void pack_codes(const uint8_t* code, BlockQ3_K& block) {
  for (int l = 0; l < 32; ++l) {
    int mask = 0;
    for (int k = 0; k < 8; ++k) mask |= (code[32 * k + l] >> 2) << k;
    block.hmask[l] = static_cast<uint8_t>(mask);
  }
  for (int h = 0; h < 2; ++h)
    for (int l = 0; l < 32; ++l) {
      const uint8_t* c = code + 128 * h + l;
      block.qs[32 * h + l] =
          static_cast<uint8_t>((c[0] & 3) | (c[32] & 3) << 2 | (c[64] & 3) << 4 | (c[96] & 3) << 6);
    }
}

// Scales of the sub-blocks to 0 … 63, and the super-scale.
float quantize_scales(const float* scale, uint8_t* out) {
  const float extreme = signed_extreme(scale, 16);
  if (extreme == 0) {
    std::fill_n(out, 16, uint8_t{0});
    return 0;
  }
  const float inverse = -32 / extreme;
  for (int s = 0; s < 16; ++s)
    out[s] = static_cast<uint8_t>(std::clamp(nearest(inverse * scale[s]), -32, 31) + 32);
  return 1 / inverse;
}

float search_scales(const float* scale, const float* weight, uint8_t* out) {
  F32x4 x[16], w[16];
  for (int s = 0; s < 16; ++s) {
    x[s] = F32x4{scale[s], 0, 0, 0};
    w[s] = F32x4{weight[s], 0, 0, 0};
  }
  uint8_t codes[kLanes * 16];
  const F32x4 super_scale = fit_symmetric(16, 32, x, w, codes);
  std::copy_n(codes, 16, out);
  return super_scale[0];
}

void encode_block(const float* x, const float* importance, BlockQ3_K& block) {
  float weights[kSuperBlock], scale[16], sub_weight[16];
  uint8_t code[kSuperBlock], packed_scale[16];
  if (importance != nullptr)
    weigh(x, importance, 2 * sum_of_squares(x, kSuperBlock) / kSuperBlock, kSuperBlock, weights);
  for (int first = 0; first < kSuperBlock; first += kLanes * 16) {
    F32x4 value[16], weight[16], sum{};
    interleave(x + first, 16, value);
    if (importance == nullptr) {
      store4(scale + first / 16, fit_3bit(16, value, code + first));
      continue;
    }
    interleave(weights + first, 16, weight);
    for (int i = 0; i < 16; ++i) sum += weight[i];
    store4(sub_weight + first / 16, sum);
    store4(scale + first / 16, fit_symmetric(16, 4, value, weight, code + first));
  }
  const float d = importance == nullptr ? quantize_scales(scale, packed_scale)
                                        : search_scales(scale, sub_weight, packed_scale);
  store_f16(block.d, d);
  pack_scales(packed_scale, block.scales);
  int stored_scale[16];
  unpack_scales(block.scales, stored_scale);
  recode_symmetric(4, load_f16(block.d), stored_scale, x, code);
  pack_codes(code, block);
}

}  // namespace

void decode_q3_k(const std::byte* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const BlockQ3_K*>(blocks);
  for (int64_t b = 0; b < n / kSuperBlock; ++b, ++block, out += kSuperBlock) {
    const float d = load_f16(block->d);
    int scale[16];
    unpack_scales(block->scales, scale);
    for (int s = 0; s < 16; ++s) {
      const float step = d * static_cast<float>(scale[s]);
      const uint8_t* qs = block->qs + 32 * (s / 8) + 16 * (s % 2);
      const uint8_t* hmask = block->hmask + 16 * (s % 2);
      const int shift = 2 * (s % 8 / 2), bit = s / 2;
      for (int i = 0; i < 16; ++i) {
        const int code = (qs[i] >> shift & 3) | (hmask[i] >> bit & 1) << 2;
        out[16 * s + i] = step * static_cast<float>(code - 4);
      }
    }
  }
}

void encode_q3_k(const float* row, int64_t n, const float* importance, std::byte* blocks) {
  encode_super_blocks<BlockQ3_K>(row, n, importance, blocks, encode_block);
}

}  // namespace carat
