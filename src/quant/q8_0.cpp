// Q8_0: the scale puts the largest magnitude on 127; codes are rounded half away from zero.
#include "quant/q8_0.h"

#include "quant/block.h"

namespace carat {
namespace {

// Half away from zero. Adding 0.5 and truncating would be wrong just below a half, so the rest decides.
// 0 for what no code can hold (NaN, or the inverse of a subnormal scale has overflowed).
I32x4 round_half_away(F32x4 v) {
  const I32x4 valid = abs(v) < 128.5f;
  v = select(valid, v, splat(0.0f));
  const I32x4 whole = __builtin_convertvector(v, I32x4);
  const F32x4 rest = v - to_float(whole);
  return whole - (rest >= 0.5f) + (rest <= -0.5f);  // masks are -1
}

}  // namespace

void decode_q8_0(const std::byte* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const BlockQ8_0*>(blocks);
  for (int64_t b = 0; b < n / 32; ++b, ++block, out += 32) {
    const float d = load_f16(block->d);
    for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(static_cast<int8_t>(block->qs[i])) * d;
  }
}

void encode_q8_0(const float* row, int64_t n, const float*, std::byte* blocks) {
  auto* block = reinterpret_cast<BlockQ8_0*>(blocks);
  for (int64_t b = 0; b < n / 32; ++b, ++block, row += 32) {
    const float d = largest_magnitude(row, 32) / 127;
    const float inverse = d != 0 ? 1 / d : 0;
    store_f16(block->d, d);
    for (int i = 0; i < 32; i += kLanes) {
      const I32x4 codes = round_half_away(load4(row + i) * inverse);
      for (int lane = 0; lane < kLanes; ++lane) block->qs[i + lane] = static_cast<uint8_t>(codes[lane]);
    }
  }
}

}  // namespace carat
