// TQ2_0: 256 ternary weights, four to a byte; 2.06 bits a weight.
//
//   byte  0        64       66
//         | qs[64] | d: F16 |      x[i] = d * (code[i] - 1)
//
//   qs[32h + l]: two bits each, lowest first, of elements 128h + l, + 32, + 64, + 96   (h = 0, 1; l = 0 … 31)
//   Code 3, twice the scale, decodes, but no encoder writes it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockTQ2_0 {
  uint8_t qs[64];
  uint8_t d[2];
};
static_assert(sizeof(BlockTQ2_0) == 66);

void decode_tq2_0(const std::byte* blocks, int64_t n, float* out);
void encode_tq2_0(const float* row, int64_t n, const float* importance, std::byte* blocks);

}  // namespace carat
