// IQ3_XXS: 256 weights as vectors of four from a codebook of 256, with signs; 3.06 bits a weight.
// Decoder only.
//
//   byte  0        2        66              98
//         | d: F16 | qs[64] | signs: u32[8] |
//
//   qs[k]: the grid vector of elements 4k … 4k + 3
//   signs[b], for elements 32b … 32b + 31:
//     bits 7l … 7l + 6: the signs of elements 32b + 8l … 32b + 8l + 7, the eighth by parity
//       (even_signs; l = 0 … 3)
//     bits 28 … 31: the scale
//   x[i] = d * (scale + 1/2) / 2 * (grid value with its sign)
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockIQ3_XXS {
  uint8_t d[2];
  uint8_t qs[64];
  uint8_t signs[8][4];
};
static_assert(sizeof(BlockIQ3_XXS) == 98);

void decode_iq3_xxs(const std::byte* blocks, int64_t n, float* out);
void set_scale_iq3_xxs(float d, std::byte* block);

}  // namespace carat
