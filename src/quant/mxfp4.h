// MXFP4: 32 FP4 codes under one power of two; gpt-oss's format, and what llama.cpp offers for expert tensors.
//
//   byte  0         1                                    17
//         | e: E8M0 | qs[16]                             |      x[i] = e8m0_half(e) * kE2M1Doubled[code[i]]
//
//   qs[j]: low nibble code[j], high nibble code[j + 16]
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockMXFP4 {
  uint8_t e;
  uint8_t qs[16];
};
static_assert(sizeof(BlockMXFP4) == 17);

void decode_mxfp4(const std::byte* blocks, int64_t n, float* out);
void encode_mxfp4(const float* row, int64_t n, const float* importance, std::byte* blocks);

}  // namespace carat
