// IQ2_XXS: 256 weights as vectors of eight from a codebook of 256, with signs; 2.06 bits a weight.
// Decoder only.
//
//   byte  0        2                              66
//         | d: F16 | 8 x (indices[4], signs: u32) |
//
//   per 32 elements:
//     indices[k]: the grid vector of elements 8k … 8k + 7
//     signs, bits 7k … 7k + 6: the signs of vector k, the eighth by parity (even_signs)
//     signs, bits 28 … 31: the scale
//   x[i] = d * (scale + 1/2) / 4 * (grid value with its sign)
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockIQ2_XXS {
  struct Part {
    uint8_t indices[4];
    uint8_t signs[4];
  };
  uint8_t d[2];
  Part parts[8];
};
static_assert(sizeof(BlockIQ2_XXS) == 66);

void decode_iq2_xxs(const std::byte* blocks, int64_t n, float* out);
void set_scale_iq2_xxs(float d, std::byte* block);

}  // namespace carat
