// Q8_0: 32 signed bytes under one scale; nearly lossless, and the format of activations and of KV caches.
//
//   byte  0        2                                     34
//         | d: F16 | qs[32]: int8, in element order      |      x[i] = d * qs[i]
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockQ8_0 {
  uint8_t d[2];
  uint8_t qs[32];  // two's complement
};
static_assert(sizeof(BlockQ8_0) == 34);

void decode_q8_0(const std::byte* blocks, int64_t n, float* out);
void encode_q8_0(const float* row, int64_t n, const float* importance, std::byte* blocks);

}  // namespace carat
