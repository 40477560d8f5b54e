// TQ1_0: the three stretches of a block differ only in how many bytes stand side by side. Importance is not
// used.
#include "quant/tq1_0.h"

#include "quant/block.h"
#include "quant/super_block.h"
#include "quant/ternary.h"

namespace carat {
namespace {

// `width` bytes hold n_trits * width elements: trit n of byte m is element width * n + m.
void unpack(const uint8_t* bytes, int width, int n_trits, float d, float* out) {
  for (int m = 0; m < width; ++m) {
    auto fraction = bytes[m];
    for (int n = 0; n < n_trits; ++n) {
      const int shifted = 3 * fraction;
      out[width * n + m] = d * static_cast<float>((shifted >> 8) - 1);
      fraction = static_cast<uint8_t>(shifted);
    }
  }
}

void pack(const float* x, int width, int n_trits, float inverse, uint8_t* bytes) {
  for (int m = 0; m < width; ++m) {
    int number = 0;
    for (int n = 0; n < 5; ++n)
      number = 3 * number + (n < n_trits ? ternary_code(x[width * n + m], inverse, 1) : 0);
    bytes[m] = static_cast<uint8_t>((number * 256 + 242) / 243);
  }
}

}  // namespace

void decode_tq1_0(const std::byte* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const BlockTQ1_0*>(blocks);
  for (int64_t i = 0; i < n; i += kSuperBlock, ++block, out += kSuperBlock) {
    const float d = load_f16(block->d);
    unpack(block->qs, 32, 5, d, out);
    unpack(block->qs + 32, 16, 5, d, out + 160);
    unpack(block->qh, 4, 4, d, out + 240);
  }
}

void encode_tq1_0(const float* row, int64_t n, const float*, std::byte* blocks) {
  auto* block = reinterpret_cast<BlockTQ1_0*>(blocks);
  for (int64_t i = 0; i < n; i += kSuperBlock, ++block, row += kSuperBlock) {
    const float d = largest_magnitude(row, kSuperBlock);
    const float inverse = d != 0 ? 1 / d : 0;
    pack(row, 32, 5, inverse, block->qs);
    pack(row + 160, 16, 5, inverse, block->qs + 32);
    pack(row + 240, 4, 4, inverse, block->qh);
    store_f16(block->d, d);
  }
}

}  // namespace carat
