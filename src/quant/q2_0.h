// Q2_0: 64 two-bit codes under one scale; 2.25 bits a weight.
//
//   byte  0        2         18
//         | d: F16 | qs[16]  |      x[i] = d * (code[i] - 1)
//
//   code[i]: bits 2 (i % 4), 2 (i % 4) + 1 of qs[i / 4]
//   Code 3, twice the scale, decodes, but no encoder writes it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockQ2_0 {
  uint8_t d[2];
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ2_0) == 18);

void decode_q2_0(const std::byte* blocks, int64_t n, float* out);
void encode_q2_0(const float* row, int64_t n, const float* importance, std::byte* blocks);

}  // namespace carat
