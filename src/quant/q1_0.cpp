// Q1_0: the scale is the mean magnitude, summed in index order as the reference does. Importance is not used.
#include "quant/q1_0.h"

#include "quant/block.h"

namespace carat {
namespace {

constexpr int kLength = 128;

}  // namespace

void decode_q1_0(const std::byte* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const BlockQ1_0*>(blocks);
  for (int64_t b = 0; b < n / kLength; ++b, ++block) {
    const float d = load_f16(block->d);
    for (int i = 0; i < kLength; ++i) *out++ = block->qs[i / 8] >> i % 8 & 1 ? d : -d;
  }
}

void encode_q1_0(const float* row, int64_t n, const float*, std::byte* blocks) {
  auto* block = reinterpret_cast<BlockQ1_0*>(blocks);
  for (int64_t b = 0; b < n / kLength; ++b, ++block, row += kLength) {
    float sum = 0;
    for (int i = 0; i < kLength; ++i) sum += std::fabs(row[i]);
    store_f16(block->d, sum / kLength);
    for (int i = 0; i < kLength; i += 8) {
      int bits = 0;
      for (int j = 0; j < 8; ++j) bits |= (row[i + j] >= 0 ? 1 : 0) << j;
      block->qs[i / 8] = static_cast<uint8_t>(bits);
    }
  }
}

}  // namespace carat
