// F32, F16 and BF16: one number at a time.
#include "quant/plain.h"

#include "quant/block.h"

namespace carat {
namespace {

// f16_to_f32 without branches, so that it vectorizes: moving the exponent's bits into place and multiplying
// by 2^112 corrects the bias, of subnormals too.
float f16_value(uint16_t h) {
  const uint32_t magnitude = uint32_t{h & 0x7fffu} << 13;
  const uint32_t finite = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112f);
  const uint32_t special = (h & 0x7c00u) == 0x7c00u ? 0xffffffffu : 0u;  // infinity or NaN
  const uint32_t value = (special & (magnitude | 0x7f800000u)) | (~special & finite);
  return std::bit_cast<float>(value | uint32_t{h & 0x8000u} << 16);
}

const uint8_t* bytes_of(const std::byte* p) { return reinterpret_cast<const uint8_t*>(p); }
uint8_t* bytes_of(std::byte* p) { return reinterpret_cast<uint8_t*>(p); }

}  // namespace

void decode_f32(const std::byte* blocks, int64_t n, float* out) {
  if (n > 0) std::memcpy(out, blocks, static_cast<size_t>(n) * 4);
}

void encode_f32(const float* row, int64_t n, const float*, std::byte* blocks) {
  if (n > 0) std::memcpy(blocks, row, static_cast<size_t>(n) * 4);
}

void decode_f16(const std::byte* blocks, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = f16_value(load_u16(bytes_of(blocks) + 2 * i));
}

void encode_f16(const float* row, int64_t n, const float*, std::byte* blocks) {
  for (int64_t i = 0; i < n; ++i) store_f16(bytes_of(blocks) + 2 * i, row[i]);
}

void decode_bf16(const std::byte* blocks, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = bf16_to_f32(load_u16(bytes_of(blocks) + 2 * i));
}

void encode_bf16(const float* row, int64_t n, const float*, std::byte* blocks) {
  for (int64_t i = 0; i < n; ++i) store_u16(bytes_of(blocks) + 2 * i, f32_to_bf16(row[i]));
}

}  // namespace carat
