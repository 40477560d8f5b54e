// F32, F16 and BF16: formats without blocks. Every element stands alone, so encoding is rounding.
//
//   F32   4 bytes, IEEE binary32
//   F16   2 bytes, IEEE binary16: sign 1, exponent 5, mantissa 10
//   BF16  2 bytes, the upper half of a binary32: sign 1, exponent 8, mantissa 7
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

void decode_f32(const std::byte* blocks, int64_t n, float* out);
void encode_f32(const float* row, int64_t n, const float* importance, std::byte* blocks);
void decode_f16(const std::byte* blocks, int64_t n, float* out);
void encode_f16(const float* row, int64_t n, const float* importance, std::byte* blocks);
void decode_bf16(const std::byte* blocks, int64_t n, float* out);
void encode_bf16(const float* row, int64_t n, const float* importance, std::byte* blocks);

}  // namespace carat
