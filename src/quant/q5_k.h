// Q5_K: 256 five-bit codes; every 32 have a six-bit scale and a six-bit minimum under two F16 super-scales.
//
//   byte  0        2           4            16       48      176
//         | d: F16 | dmin: F16 | scales[12] | qh[32] | qs[128] |
//
//   x[i] = (d * scale) * code[i] - dmin * minimum
//   qs[32g + l]: low nibble the low four bits of element 64g + l, high nibble those of element 64g + 32 + l
//   qh[l]: bit k is bit 4 of element 32k + l
//   scales: eight scales and eight minima of six bits, see six_bit_scales.h
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockQ5_K {
  uint8_t d[2];
  uint8_t dmin[2];
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ5_K) == 176);

void decode_q5_k(const std::byte* blocks, int64_t n, float* out);
void encode_q5_k(const float* row, int64_t n, const float* importance, std::byte* blocks);

}  // namespace carat
