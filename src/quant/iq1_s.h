// IQ1_S: 256 weights as ternary vectors of eight from a codebook of 2048; 1.56 bits a weight. Decoder only.
//
//   byte  0        2        34           50
//         | d: F16 | qs[32] | qh: u16[8] |
//
//   vector k = 4b + l (b = 0 … 7, l = 0 … 3) holds elements 8k … 8k + 7;
//     its index in the codebook: qs[k] and, above it, bits 3l … 3l + 2 of qh[b]
//   qh[b], for elements 32b … 32b + 31:
//     bits 12 … 14: the scale
//     bit 15: set if the shift is -1/8, else it is +1/8
//   x[i] = d * (2 * scale + 1) * (grid value + shift)
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockIQ1_S {
  uint8_t d[2];
  uint8_t qs[32];
  uint8_t qh[8][2];
};
static_assert(sizeof(BlockIQ1_S) == 50);

void decode_iq1_s(const std::byte* blocks, int64_t n, float* out);
void set_scale_iq1_s(float d, std::byte* block);

}  // namespace carat
