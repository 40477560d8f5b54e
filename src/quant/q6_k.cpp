// Q6_K: symmetric sub-blocks; the super-scale puts the extreme sub-block scale on -128, so it is often
// negative.
#include "quant/q6_k.h"

#include <algorithm>
#include <cmath>

#include "quant/block.h"
#include "quant/super_block.h"

namespace carat {
namespace {

void pack_codes(const uint8_t* code, BlockQ6_K& block) {
  for (int h = 0; h < 2; ++h)
    for (int l = 0; l < 32; ++l) {
      const uint8_t* c = code + 128 * h + l;
      block.ql[64 * h + l] = static_cast<uint8_t>((c[0] & 15) | (c[64] & 15) << 4);
      block.ql[64 * h + 32 + l] = static_cast<uint8_t>((c[32] & 15) | (c[96] & 15) << 4);
      block.qh[32 * h + l] =
          static_cast<uint8_t>(c[0] >> 4 | c[32] >> 4 << 2 | c[64] >> 4 << 4 | c[96] >> 4 << 6);
    }
}

void encode_block(const float* x, const float* importance, BlockQ6_K& block) {
  float scale[16];
  uint8_t code[kSuperBlock];
  for (int first = 0; first < kSuperBlock; first += kLanes * 16) {
    F32x4 value[16], weight[16];
    interleave(x + first, 16, value);
    if (importance != nullptr) {
      interleave(importance + first, 16, weight);
    } else {
      for (int i = 0; i < 16; ++i) weight[i] = value[i] * value[i];
    }
    store4(scale + first / 16, fit_symmetric(16, 32, value, weight, code + first));
  }
  const float extreme = signed_extreme(scale, 16);
  if (std::fabs(extreme) < 1e-15f) {
    block = BlockQ6_K{};
    return;
  }
  const float inverse = -128 / extreme;
  int stored_scale[16];
  for (int s = 0; s < 16; ++s) {
    block.scales[s] = static_cast<uint8_t>(std::min(nearest(inverse * scale[s]), 127));
    stored_scale[s] = static_cast<int8_t>(block.scales[s]);
  }
  store_f16(block.d, 1 / inverse);
  recode_symmetric(32, load_f16(block.d), stored_scale, x, code);
  pack_codes(code, block);
}

}  // namespace

void decode_q6_k(const std::byte* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const BlockQ6_K*>(blocks);
  for (int64_t b = 0; b < n / kSuperBlock; ++b, ++block, out += kSuperBlock) {
    const float d = load_f16(block->d);
    for (int s = 0; s < 16; ++s) {
      const float step = d * static_cast<float>(static_cast<int8_t>(block->scales[s]));
      const int h = s / 8, k = s % 8 / 2, half = 16 * (s % 2);
      const uint8_t* ql = block->ql + 64 * h + 32 * (k % 2) + half;
      const uint8_t* qh = block->qh + 32 * h + half;
      for (int i = 0; i < 16; ++i) {
        const int code = (ql[i] >> 4 * (k / 2) & 15) | (qh[i] >> 2 * k & 3) << 4;
        out[16 * s + i] = step * static_cast<float>(code - 32);
      }
    }
  }
}

void encode_q6_k(const float* row, int64_t n, const float* importance, std::byte* blocks) {
  encode_super_blocks<BlockQ6_K>(row, n, importance, blocks, encode_block);
}

}  // namespace carat
