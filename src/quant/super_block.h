// Fitting a super-block of 256 elements: the K formats' encoders up to the point where bits are packed.
// Sub-blocks (16 or 32 elements) are fitted one by one, their scales are then quantized, and the codes made
// anew.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/scale_search.h"

namespace carat {

inline constexpr int kSuperBlock = 256;

// Calls encode(x, importance, block) for each super-block of a row of n elements; no importance stays none.
template <class Block, class Encode>
void encode_super_blocks(const float* row, int64_t n, const float* importance, std::byte* blocks, Encode encode) {
  auto* block = reinterpret_cast<Block*>(blocks);
  for (int64_t i = 0; i < n; i += kSuperBlock)
    encode(row + i, importance != nullptr ? importance + i : nullptr, *block++);
}

// x ~ (d * scale) * code - dmin * minimum: Q2_K, Q4_K, Q5_K.
struct AffineFormat {
  int sub_length;         // elements of a sub-block
  int top;                // largest code
  int scale_top;          // largest sub-block scale, and minimum
  AffineSearch search;    // without importance
  bool weights_plus_rms;  // without importance an element's weight is |x|, or |x| + the sub-block's root mean
                          // square
  float variance_factor;  // with importance
};

struct AffineSuperBlock {
  uint16_t d, dmin;  // F16
  uint8_t scale[16], minimum[16];
  uint8_t code[kSuperBlock];
};

// importance: 256 weights or nullptr.
void fit_affine_super_block(const AffineFormat& format, const float* x, const float* importance,
                            AffineSuperBlock& out);

// Makes the codes anew for `fit`'s scales and minima, which the caller has replaced by those that it stored
// (a rare negative scale does not survive packing). Sub-blocks whose scale is zero keep the fit's codes.
void recode_affine(const AffineFormat& format, const float* x, AffineSuperBlock& fit);

// x ~ (d * scale) * (code - half) with sub-blocks of 16: Q3_K, Q6_K. Makes the codes of those sub-blocks anew
// whose scale is not zero; the others keep what the fit gave them.
void recode_symmetric(int half, float d, const int* scale, const float* x, uint8_t* code);

}  // namespace carat
