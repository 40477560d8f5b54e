// Q4_0: 32 four-bit codes under one scale, centred on 8; the lattice that Gemma's QAT checkpoints are trained
// for.
//
//   byte  0        2                                     18
//         | d: F16 | qs[16]                              |      x[i] = d * (code[i] - 8)
//
//   qs[j]: low nibble code[j], high nibble code[j + 16]
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockQ4_0 {
  uint8_t d[2];
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_0) == 18);

void decode_q4_0(const std::byte* blocks, int64_t n, float* out);
void encode_q4_0(const float* row, int64_t n, const float* importance, std::byte* blocks);

}  // namespace carat
