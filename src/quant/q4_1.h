// Q4_1: 32 four-bit codes between a minimum and a maximum.
//
//   byte  0        2        4                            20
//         | d: F16 | m: F16 | qs[16]                     |      x[i] = d * code[i] + m
//
//   qs[j]: low nibble code[j], high nibble code[j + 16]
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockQ4_1 {
  uint8_t d[2];
  uint8_t m[2];
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_1) == 20);

void decode_q4_1(const std::byte* blocks, int64_t n, float* out);
void encode_q4_1(const float* row, int64_t n, const float* importance, std::byte* blocks);

}  // namespace carat
