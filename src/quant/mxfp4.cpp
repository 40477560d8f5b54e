// MXFP4: the exponent puts the largest magnitude in [4, 8), so what lies above 6 saturates. Importance is not
// used.
#include "quant/mxfp4.h"

#include <cmath>

#include "quant/block.h"
#include "quant/fp4.h"

namespace carat {
namespace {

// The reference rounds log2 to binary32 before it takes the floor, so just below a (large or small) power of
// two it is already in the next binade. Exponents below 0 wrap, also as in the reference: all codes are then
// 0.
uint8_t exponent_for(float largest) {
  if (!(largest > 0) || std::isinf(largest)) return 0;
  const auto log = static_cast<float>(std::log2(static_cast<double>(largest)));
  return static_cast<uint8_t>(static_cast<int>(std::floor(log)) - 2 + 127);
}

}  // namespace

void decode_mxfp4(const std::byte* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const BlockMXFP4*>(blocks);
  for (int64_t b = 0; b < n / 32; ++b, ++block, out += 32) {
    const float d = e8m0_half(block->e);
    for (int j = 0; j < 16; ++j) {
      out[j] = static_cast<float>(kE2M1Doubled[block->qs[j] & 15]) * d;
      out[j + 16] = static_cast<float>(kE2M1Doubled[block->qs[j] >> 4]) * d;
    }
  }
}

void encode_mxfp4(const float* row, int64_t n, const float*, std::byte* blocks) {
  auto* block = reinterpret_cast<BlockMXFP4*>(blocks);
  for (int64_t b = 0; b < n / 32; ++b, ++block, row += 32) {
    block->e = exponent_for(largest_magnitude(row, 32));
    const float d = e8m0_half(block->e);
    for (int j = 0; j < 16; j += kLanes) {
      const I32x4 pair = nearest_fp4(load4(row + j), d) | nearest_fp4(load4(row + j + 16), d) << 4;
      for (int lane = 0; lane < kLanes; ++lane) block->qs[j + lane] = static_cast<uint8_t>(pair[lane]);
    }
  }
}

}  // namespace carat
