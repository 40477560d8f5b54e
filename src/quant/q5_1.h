// Q5_1: 32 five-bit codes between a minimum and a maximum.
//
//   byte  0        2        4       8                    24
//         | d: F16 | m: F16 | qh[4] | qs[16]             |      x[i] = d * code[i] + m
//
//   qs[j]: low nibble the low four bits of code[j], high nibble those of code[j + 16]
//   qh: a 32-bit word, bit i is bit 4 of code[i]
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockQ5_1 {
  uint8_t d[2];
  uint8_t m[2];
  uint8_t qh[4];
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_1) == 24);

void decode_q5_1(const std::byte* blocks, int64_t n, float* out);
void encode_q5_1(const float* row, int64_t n, const float* importance, std::byte* blocks);

}  // namespace carat
