// NVFP4: 64 FP4 codes; every 16 have an unsigned E4M3 scale. Files keep one more F32 scale per tensor beside it.
//
//   byte  0      4                                       36
//         | d[4] | qs[32]                                |
//
//   x[i] = e4m3_half(d[s]) * kE2M1Doubled[code[i]]
//   qs[8s + j]: low nibble element 16s + j, high nibble element 16s + 8 + j   (s = 0 … 3; j = 0 … 7)
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockNVFP4 {
  uint8_t d[4];
  uint8_t qs[32];
};
static_assert(sizeof(BlockNVFP4) == 36);

void decode_nvfp4(const std::byte* blocks, int64_t n, float* out);
void encode_nvfp4(const float* row, int64_t n, const float* importance, std::byte* blocks);

}  // namespace carat
