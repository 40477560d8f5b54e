// Q5_0: 32 five-bit codes under one scale, centred on 16; what rows of 32 get where a K format does not fit.
//
//   byte  0        2       6                             22
//         | d: F16 | qh[4] | qs[16]                      |      x[i] = d * (code[i] - 16)
//
//   qs[j]: low nibble the low four bits of code[j], high nibble those of code[j + 16]
//   qh: a 32-bit word, bit i is bit 4 of code[i]
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockQ5_0 {
  uint8_t d[2];
  uint8_t qh[4];
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_0) == 22);

void decode_q5_0(const std::byte* blocks, int64_t n, float* out);
void encode_q5_0(const float* row, int64_t n, const float* importance, std::byte* blocks);

}  // namespace carat
