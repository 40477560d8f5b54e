// Q3_K: 256 three-bit codes, centred on 4; every 16 have a six-bit scale, centred on 32, under one F16
// super-scale.
//
//   byte  0           32       96           108               110
//         | hmask[32] | qs[64] | scales[12] | d: F16          |
//
//   x[i] = (d * (scale - 32)) * (code[i] - 4)
//   qs[32h + l]: the low two bits, lowest first, of elements 128h + l, + 32, + 64, + 96   (h = 0, 1; l = 0 … 31)
//   hmask[l]: bit k is the high bit of element 32k + l
//   scales[j], j = 0 … 7: low nibble the low four bits of scale j, high nibble those of scale j + 8
//   scales[8 + j], j = 0 … 3: two bits each, lowest first: the high bits of scales j, j + 4, j + 8, j + 12
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockQ3_K {
  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];
  uint8_t d[2];
};
static_assert(sizeof(BlockQ3_K) == 110);

void decode_q3_k(const std::byte* blocks, int64_t n, float* out);
void encode_q3_k(const float* row, int64_t n, const float* importance, std::byte* blocks);

}  // namespace carat
