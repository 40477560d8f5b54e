// Q2_0: the largest magnitude is the scale. Importance is not used.
#include "quant/q2_0.h"

#include "quant/block.h"
#include "quant/ternary.h"

namespace carat {
namespace {

constexpr int kLength = 64;

}  // namespace

void decode_q2_0(const std::byte* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const BlockQ2_0*>(blocks);
  for (int64_t b = 0; b < n / kLength; ++b, ++block) {
    const float d = load_f16(block->d);
    for (int i = 0; i < kLength; ++i)
      *out++ = d * static_cast<float>((block->qs[i / 4] >> 2 * (i % 4) & 3) - 1);
  }
}

void encode_q2_0(const float* row, int64_t n, const float*, std::byte* blocks) {
  auto* block = reinterpret_cast<BlockQ2_0*>(blocks);
  for (int64_t b = 0; b < n / kLength; ++b, ++block, row += kLength) {
    const float d = largest_magnitude(row, kLength);
    const float inverse = d != 0 ? 1 / d : 0;
    for (int i = 0; i < kLength; i += 4) {
      int codes = 0;
      for (int j = 0; j < 4; ++j) codes |= ternary_code(row[i + j], inverse, 0) << 2 * j;
      block->qs[i / 4] = static_cast<uint8_t>(codes);
    }
    store_f16(block->d, d);
  }
}

}  // namespace carat
