// IQ1_M: 256 weights as ternary vectors of eight from IQ1_S's codebook; 1.75 bits a weight. Decoder only.
//
//   byte  0        32       48               56
//         | qs[32] | qh[16] | scales: u16[4] |
//
//   vector k holds elements 8k … 8k + 7 and has the low (k even) or high nibble h of qh[k / 2];
//     its index in the codebook: qs[k] and, above it, the low three bits of h
//     its shift: -1/8 if h's bit 3 is set, else +1/8
//   scales[p]:
//     bits 3s … 3s + 2: the scale of elements 64p + 16s … 64p + 16s + 15 (s = 0 … 3)
//     bits 12 … 15: the p-th four bits of the F16 super-scale d, lowest first
//   x[i] = d * (2 * scale + 1) * (grid value + shift)
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockIQ1_M {
  uint8_t qs[32];
  uint8_t qh[16];
  uint8_t scales[4][2];
};
static_assert(sizeof(BlockIQ1_M) == 56);

void decode_iq1_m(const std::byte* blocks, int64_t n, float* out);
void set_scale_iq1_m(float d, std::byte* block);

}  // namespace carat
