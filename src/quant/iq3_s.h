// IQ3_S: 256 weights as vectors of four from a codebook of 512, with signs; 3.44 bits a weight. Decoder only.
//
//   byte  0        2        66      74          106         110
//         | d: F16 | qs[64] | qh[8] | signs[32] | scales[4] |
//
//   vector k = 8b + l (b, l = 0 … 7), elements 4k … 4k + 3: index qs[k] and above it bit l of qh[b]
//   signs[j]: one bit for each of elements 8j … 8j + 7
//   scales[p]: low nibble for elements 64p … 64p + 31, high nibble for the next 32
//   x[i] = d * (2 * scale + 1) * (grid value with its sign)
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockIQ3_S {
  uint8_t d[2];
  uint8_t qs[64];
  uint8_t qh[8];
  uint8_t signs[32];
  uint8_t scales[4];
};
static_assert(sizeof(BlockIQ3_S) == 110);

void decode_iq3_s(const std::byte* blocks, int64_t n, float* out);
void set_scale_iq3_s(float d, std::byte* block);

}  // namespace carat
