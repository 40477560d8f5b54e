// IQ2_XS: 256 weights as vectors of eight from a codebook of 512, with signs; 2.31 bits a weight. Decoder
// only.
//
//   byte  0        2             66          74
//         | d: F16 | qs: u16[32] | scales[8] |
//
//   qs[k]: elements 8k … 8k + 7; bits 0 … 8 the grid vector, bits 9 … 15 its signs, the eighth by parity
//   scales[b]: low nibble for elements 32b … 32b + 15, high nibble for the next 16
//   x[i] = d * (scale + 1/2) / 4 * (grid value with its sign)
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockIQ2_XS {
  uint8_t d[2];
  uint8_t qs[32][2];
  uint8_t scales[8];
};
static_assert(sizeof(BlockIQ2_XS) == 74);

void decode_iq2_xs(const std::byte* blocks, int64_t n, float* out);
void set_scale_iq2_xs(float d, std::byte* block);

}  // namespace carat
