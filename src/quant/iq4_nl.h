// IQ4_NL: 32 four-bit codes on a non-uniform grid, finer near zero, under one scale.
//
//   byte  0        2                                     18
//         | d: F16 | qs[16]                              |      x[i] = d * kIQ4Grid[code[i]]
//
//   qs[j]: low nibble code[j], high nibble code[j + 16]
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockIQ4_NL {
  uint8_t d[2];
  uint8_t qs[16];
};
static_assert(sizeof(BlockIQ4_NL) == 18);

void decode_iq4_nl(const std::byte* blocks, int64_t n, float* out);
void encode_iq4_nl(const float* row, int64_t n, const float* importance, std::byte* blocks);

}  // namespace carat
