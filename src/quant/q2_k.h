// Q2_K: 256 two-bit codes; every 16 have a four-bit scale and a four-bit minimum under two F16 super-scales.
//
//   byte  0            16       80        82                  84
//         | scales[16] | qs[64] | d: F16  | dmin: F16         |
//
//   scales[s]: low nibble the scale, high nibble the minimum of elements 16s … 16s + 15
//   qs[32h + l]: two bits each, lowest first, of elements 128h + l, + 32, + 64, + 96   (h = 0, 1; l = 0 … 31)
//   x[i] = (d * scale) * code[i] - dmin * minimum
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockQ2_K {
  uint8_t scales[16];
  uint8_t qs[64];
  uint8_t d[2];
  uint8_t dmin[2];
};
static_assert(sizeof(BlockQ2_K) == 84);

void decode_q2_k(const std::byte* blocks, int64_t n, float* out);
void encode_q2_k(const float* row, int64_t n, const float* importance, std::byte* blocks);

}  // namespace carat
