// IQ4_NL: codes are made with the scale as it was before it was rounded to F16.
#include "quant/iq4_nl.h"

#include "quant/blocks32.h"
#include "quant/iq4.h"

namespace carat {

void decode_iq4_nl(const std::byte* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const BlockIQ4_NL*>(blocks);
  for (int64_t b = 0; b < n / 32; ++b, ++block, out += 32) {
    const float d = load_f16(block->d);
    for (int j = 0; j < 16; ++j) {
      out[j] = d * static_cast<float>(kIQ4Grid[block->qs[j] & 15]);
      out[j + 16] = d * static_cast<float>(kIQ4Grid[block->qs[j] >> 4]);
    }
  }
}

void encode_iq4_nl(const float* row, int64_t n, const float* importance, std::byte* blocks) {
  auto* block = reinterpret_cast<BlockIQ4_NL*>(blocks);
  for (int64_t first = 0; first < n / 32; first += kLanes) {
    const int n_here = static_cast<int>(std::min<int64_t>(kLanes, n / 32 - first));
    float values[kLanes * 32] = {}, weights[kLanes * 32] = {};
    std::copy_n(row + 32 * first, 32 * n_here, values);
    for (int b = 0; b < n_here; ++b) {
      const float variance = sum_of_squares(values + 32 * b, 32) * (2.0f / 32);
      const float* block_importance = importance != nullptr ? importance + 32 * (first + b) : nullptr;
      weigh_iq4(values + 32 * b, block_importance, variance, 32, weights + 32 * b);
    }
    F32x4 x[32], w[32];
    interleave(values, 32, x);
    interleave(weights, 32, w);
    const F32x4 scale = fit_iq4(x, w);
    for (int b = 0; b < n_here; ++b) {
      uint8_t codes[32];
      nearest_iq4(values + 32 * b, scale[b] != 0 ? 1 / scale[b] : 0, 32, codes);
      store_f16(block[first + b].d, scale[b]);
      pack_nibbles(codes, block[first + b].qs);
    }
  }
}

}  // namespace carat
