// Q4_0: the reference scale puts the extreme element on code 0 (-8); with importance a search may clip it.
#include "quant/q4_0.h"

#include <algorithm>

#include "quant/block.h"
#include "quant/scale_search.h"
#include "quant/weighting.h"

namespace carat {
namespace {

void encode_block(const float* x, BlockQ4_0& block) {
  const float d = signed_extreme(x, 32) / -8;
  const float inverse = d != 0 ? 1 / d : 0;
  store_f16(block.d, d);
  for (int j = 0; j < 16; j += kLanes) {
    const I32x4 low = truncate_to_code(load4(x + j) * inverse + 8.5f, 15);
    const I32x4 high = truncate_to_code(load4(x + 16 + j) * inverse + 8.5f, 15);
    const I32x4 pair = low | high << 4;
    for (int lane = 0; lane < kLanes; ++lane) block.qs[j + lane] = static_cast<uint8_t>(pair[lane]);
  }
}

// Up to four blocks at once; the variance is that of the whole row.
void encode_weighted(const float* x, const float* importance, float variance, int n_blocks,
                     BlockQ4_0* blocks) {
  float values[4 * 32] = {}, weights[4 * 32] = {};
  std::copy_n(x, n_blocks * 32, values);
  weigh(x, importance, variance, n_blocks * 32, weights);
  F32x4 value[32], weight[32];
  interleave(values, 32, value);
  interleave(weights, 32, weight);
  uint8_t codes[4 * 32];
  const F32x4 scale = fit_symmetric(32, 8, value, weight, codes);
  for (int b = 0; b < n_blocks; ++b) {
    store_f16(blocks[b].d, scale[b]);
    const uint8_t* code = codes + b * 32;
    for (int j = 0; j < 16; ++j) blocks[b].qs[j] = static_cast<uint8_t>(code[j] | code[j + 16] << 4);
  }
}

}  // namespace

void decode_q4_0(const std::byte* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const BlockQ4_0*>(blocks);
  for (int64_t b = 0; b < n / 32; ++b, ++block, out += 32) {
    const float d = load_f16(block->d);
    for (int j = 0; j < 16; ++j) {
      out[j] = static_cast<float>((block->qs[j] & 15) - 8) * d;
      out[j + 16] = static_cast<float>((block->qs[j] >> 4) - 8) * d;
    }
  }
}

void encode_q4_0(const float* row, int64_t n, const float* importance, std::byte* blocks) {
  auto* block = reinterpret_cast<BlockQ4_0*>(blocks);
  const int64_t n_blocks = n / 32;
  if (importance == nullptr) {
    for (int64_t b = 0; b < n_blocks; ++b) encode_block(row + 32 * b, block[b]);
    return;
  }
  const float variance = sum_of_squares(row, n) / static_cast<float>(n);
  for (int64_t b = 0; b < n_blocks; b += kLanes) {
    const int n_here = static_cast<int>(std::min<int64_t>(kLanes, n_blocks - b));
    encode_weighted(row + 32 * b, importance + 32 * b, variance, n_here, block + b);
  }
}

}  // namespace carat
