// IQ4_XS: IQ4_NL's grid in super-blocks of 256; every 32 have a six-bit scale, centred on 32.
//
//   byte  0        2               4             8                                   136
//         | d: F16 | scales_h: u16 | scales_l[4] | qs[128]                           |
//
//   scale b (0 … 7): low four bits nibble b % 2 of scales_l[b / 2], high two bits at bit 2b of scales_h
//   qs[16b + j]: low nibble element 32b + j, high nibble element 32b + 16 + j
//   x[i] = (d * (scale - 32)) * kIQ4Grid[code[i]]
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockIQ4_XS {
  uint8_t d[2];
  uint8_t scales_h[2];
  uint8_t scales_l[4];
  uint8_t qs[128];
};
static_assert(sizeof(BlockIQ4_XS) == 136);

void decode_iq4_xs(const std::byte* blocks, int64_t n, float* out);
void encode_iq4_xs(const float* row, int64_t n, const float* importance, std::byte* blocks);

}  // namespace carat
