// Q6_K: 256 six-bit codes, centred on 32; every 16 have a signed byte as their scale under one F16
// super-scale.
//
//   byte  0         128      192          208               210
//         | ql[128] | qh[64] | scales[16] | d: F16          |      x[i] = (d * scale) * (code[i] - 32)
//
//   For element i = 128h + 32k + l   (h = 0, 1; k = 0 … 3; l = 0 … 31):
//   ql[64h + 32(k % 2) + l]: the low four bits; low nibble for k = 0, 1, high nibble for k = 2, 3
//   qh[32h + l]: the high two bits at bit 2k
//   scales: int8, one for each 16 elements
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockQ6_K {
  uint8_t ql[128];
  uint8_t qh[64];
  uint8_t scales[16];  // two's complement
  uint8_t d[2];
};
static_assert(sizeof(BlockQ6_K) == 210);

void decode_q6_k(const std::byte* blocks, int64_t n, float* out);
void encode_q6_k(const float* row, int64_t n, const float* importance, std::byte* blocks);

}  // namespace carat
