// F32, F16 and BF16: one number at a time.
#include "quant/plain.h"

#include "quant/block.h"

namespace carat {
namespace {

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
  for (int64_t i = 0; i < n; ++i) out[i] = load_f16(bytes_of(blocks) + 2 * i);
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
