// Q4_K: 256 four-bit codes; every 32 have a six-bit scale and a six-bit minimum under two F16 super-scales.
//
//   byte  0        2           4            16               144
//         | d: F16 | dmin: F16 | scales[12] | qs[128]        |
//
//   x[i] = (d * scale) * code[i] - dmin * minimum
//   qs[32g + l]: low nibble element 64g + l, high nibble element 64g + 32 + l   (g = 0 … 3; l = 0 … 31)
//   scales: eight scales and eight minima of six bits, see six_bit_scales.h
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockQ4_K {
  uint8_t d[2];
  uint8_t dmin[2];
  uint8_t scales[12];
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ4_K) == 144);

void decode_q4_k(const std::byte* blocks, int64_t n, float* out);
void encode_q4_k(const float* row, int64_t n, const float* importance, std::byte* blocks);

}  // namespace carat
