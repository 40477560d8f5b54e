// Q1_0: 128 signs under one scale; 1.13 bits a weight.
//
//   byte  0        2         18
//         | d: F16 | qs[16]  |      x[i] = bit[i] ? d : -d
//
//   bit[i]: bit i % 8 of qs[i / 8]
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockQ1_0 {
  uint8_t d[2];
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ1_0) == 18);

void decode_q1_0(const std::byte* blocks, int64_t n, float* out);
void encode_q1_0(const float* row, int64_t n, const float* importance, std::byte* blocks);

}  // namespace carat
