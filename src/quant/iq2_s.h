// IQ2_S: 256 weights as vectors of eight from a codebook of 1024, with signs; 2.56 bits a weight. Decoder
// only.
//
//   byte  0        2        34          66      74          82
//         | d: F16 | qs[32] | signs[32] | qh[8] | scales[8] |
//
//   vector k = 4b + l (b = 0 … 7, l = 0 … 3), elements 8k … 8k + 7:
//   index: qs[k] and above it bits 2l, 2l + 1 of qh[b]; signs[k]: one bit for each element
//   scales[b]: low nibble for elements 32b … 32b + 15, high nibble for the next 16
//   x[i] = d * (scale + 1/2) / 4 * (grid value with its sign)
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockIQ2_S {
  uint8_t d[2];
  uint8_t qs[32];
  uint8_t signs[32];
  uint8_t qh[8];
  uint8_t scales[8];
};
static_assert(sizeof(BlockIQ2_S) == 82);

void decode_iq2_s(const std::byte* blocks, int64_t n, float* out);
void set_scale_iq2_s(float d, std::byte* block);

}  // namespace carat
