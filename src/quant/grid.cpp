// One packer of codes for each format; the layouts are drawn in the formats' headers.
#include "quant/grid.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "quant/blocks32.h"
#include "quant/codec.h"
#include "quant/iq4_nl.h"
#include "quant/iq4_xs.h"
#include "quant/mxfp4.h"
#include "quant/nvfp4.h"
#include "quant/q1_0.h"
#include "quant/q2_0.h"
#include "quant/q2_k.h"
#include "quant/q3_k.h"
#include "quant/q4_0.h"
#include "quant/q4_1.h"
#include "quant/q4_k.h"
#include "quant/q5_0.h"
#include "quant/q5_1.h"
#include "quant/q5_k.h"
#include "quant/q6_k.h"
#include "quant/q8_0.h"
#include "quant/tq1_0.h"
#include "quant/tq2_0.h"

namespace carat {
namespace {

template <class Block>
Block& as(std::byte* block) {
  return *reinterpret_cast<Block*>(block);
}

uint8_t byte(int v) { return static_cast<uint8_t>(v); }

// Blocks whose 32 codes are nibbles of qs[16].
template <class Block>
void set_nibbles(const uint8_t* code, std::byte* block) {
  pack_nibbles(code, as<Block>(block).qs);
}

template <class Block>
void set_five_bits(const uint8_t* code, std::byte* block) {
  pack_nibbles(code, as<Block>(block).qs);
  pack_fifth_bits(code, as<Block>(block).qh);
}

// Code 0 is -127: -128 is never used, because kernels take magnitudes in seven bits.
void set_q8_0(const uint8_t* code, std::byte* block) {
  for (int i = 0; i < 32; ++i) as<BlockQ8_0>(block).qs[i] = byte(code[i] - 127);
}

// Two bits each of elements l, + 32, + 64, + 96 of either half: Q2_K, TQ2_0.
void pack_two_bits(const uint8_t* code, uint8_t* qs) {
  for (int h = 0; h < 2; ++h)
    for (int l = 0; l < 32; ++l) {
      const uint8_t* c = code + 128 * h + l;
      qs[32 * h + l] = byte((c[0] & 3) | (c[32] & 3) << 2 | (c[64] & 3) << 4 | (c[96] & 3) << 6);
    }
}

template <class Block>
void set_two_bits(const uint8_t* code, std::byte* block) {
  pack_two_bits(code, as<Block>(block).qs);
}

void set_q3_k(const uint8_t* code, std::byte* block) {
  auto& b = as<BlockQ3_K>(block);
  pack_two_bits(code, b.qs);
  for (int l = 0; l < 32; ++l) {
    int mask = 0;
    for (int k = 0; k < 8; ++k) mask |= (code[32 * k + l] >> 2) << k;
    b.hmask[l] = byte(mask);
  }
}

// Elements 64g + l and 64g + 32 + l side by side.
void pack_wide_nibbles(const uint8_t* code, uint8_t* qs) {
  for (int g = 0; g < 4; ++g)
    for (int l = 0; l < 32; ++l)
      qs[32 * g + l] = byte((code[64 * g + l] & 15) | (code[64 * g + 32 + l] & 15) << 4);
}

void set_q4_k(const uint8_t* code, std::byte* block) { pack_wide_nibbles(code, as<BlockQ4_K>(block).qs); }

void set_q5_k(const uint8_t* code, std::byte* block) {
  auto& b = as<BlockQ5_K>(block);
  pack_wide_nibbles(code, b.qs);
  for (int l = 0; l < 32; ++l) {
    int high = 0;
    for (int k = 0; k < 8; ++k) high |= (code[32 * k + l] >> 4 & 1) << k;
    b.qh[l] = byte(high);
  }
}

void set_q6_k(const uint8_t* code, std::byte* block) {
  auto& b = as<BlockQ6_K>(block);
  for (int h = 0; h < 2; ++h)
    for (int l = 0; l < 32; ++l) {
      const uint8_t* c = code + 128 * h + l;
      b.ql[64 * h + l] = byte((c[0] & 15) | (c[64] & 15) << 4);
      b.ql[64 * h + 32 + l] = byte((c[32] & 15) | (c[96] & 15) << 4);
      b.qh[32 * h + l] = byte(c[0] >> 4 | c[32] >> 4 << 2 | c[64] >> 4 << 4 | c[96] >> 4 << 6);
    }
}

void set_iq4_xs(const uint8_t* code, std::byte* block) {
  for (int b = 0; b < 8; ++b) pack_nibbles(code + 32 * b, as<BlockIQ4_XS>(block).qs + 16 * b);
}

void set_nvfp4(const uint8_t* code, std::byte* block) {
  for (int s = 0; s < 4; ++s)
    for (int j = 0; j < 8; ++j)
      as<BlockNVFP4>(block).qs[8 * s + j] = byte((code[16 * s + j] & 15) | (code[16 * s + 8 + j] & 15) << 4);
}

void pack_trits(const uint8_t* code, int width, int n_trits, uint8_t* bytes) {
  for (int m = 0; m < width; ++m) {
    int number = 0;
    for (int n = 0; n < 5; ++n) number = 3 * number + (n < n_trits ? code[width * n + m] : 0);
    bytes[m] = byte((number * 256 + 242) / 243);
  }
}

void set_tq1_0(const uint8_t* code, std::byte* block) {
  auto& b = as<BlockTQ1_0>(block);
  pack_trits(code, 32, 5, b.qs);
  pack_trits(code + 160, 16, 5, b.qs + 32);
  pack_trits(code + 240, 4, 4, b.qh);
}

void set_q1_0(const uint8_t* code, std::byte* block) {
  auto& b = as<BlockQ1_0>(block);
  std::memset(b.qs, 0, sizeof b.qs);
  for (int i = 0; i < 128; ++i) b.qs[i / 8] = byte(b.qs[i / 8] | code[i] << i % 8);
}

void set_q2_0(const uint8_t* code, std::byte* block) {
  auto& b = as<BlockQ2_0>(block);
  std::memset(b.qs, 0, sizeof b.qs);
  for (int i = 0; i < 64; ++i) b.qs[i / 4] = byte(b.qs[i / 4] | code[i] << 2 * (i % 4));
}

// Q4_0's values -8 … 7 have three significant bits, those of -1, 0 and 1 none. FP4's blocks have scales of other kinds than F16.
// Ternary formats keep to three codes: so do their encoders.
constexpr GridFormat kGrids[] = {
    {TensorType::Q4_0, 16, true, set_nibbles<BlockQ4_0>, offsetof(BlockQ4_0, d), -1, 5},
    {TensorType::Q4_1, 16, true, set_nibbles<BlockQ4_1>, offsetof(BlockQ4_1, d), offsetof(BlockQ4_1, m)},
    {TensorType::Q5_0, 32, true, set_five_bits<BlockQ5_0>, offsetof(BlockQ5_0, d)},
    {TensorType::Q5_1, 32, true, set_five_bits<BlockQ5_1>, offsetof(BlockQ5_1, d), offsetof(BlockQ5_1, m)},
    {TensorType::Q8_0, 255, true, set_q8_0, offsetof(BlockQ8_0, d)},
    {TensorType::Q2_K, 4, true, set_two_bits<BlockQ2_K>, offsetof(BlockQ2_K, d), offsetof(BlockQ2_K, dmin)},
    {TensorType::Q3_K, 8, true, set_q3_k, offsetof(BlockQ3_K, d)},
    {TensorType::Q4_K, 16, true, set_q4_k, offsetof(BlockQ4_K, d), offsetof(BlockQ4_K, dmin)},
    {TensorType::Q5_K, 32, true, set_q5_k, offsetof(BlockQ5_K, d), offsetof(BlockQ5_K, dmin)},
    {TensorType::Q6_K, 64, true, set_q6_k, offsetof(BlockQ6_K, d)},
    {TensorType::IQ4_NL, 16, false, set_nibbles<BlockIQ4_NL>, offsetof(BlockIQ4_NL, d)},
    {TensorType::IQ4_XS, 16, false, set_iq4_xs, offsetof(BlockIQ4_XS, d)},
    {TensorType::MXFP4, 16, false, set_nibbles<BlockMXFP4>},
    {TensorType::NVFP4, 16, false, set_nvfp4},
    {TensorType::TQ1_0, 3, true, set_tq1_0, offsetof(BlockTQ1_0, d), -1, 8},
    {TensorType::TQ2_0, 3, true, set_two_bits<BlockTQ2_0>, offsetof(BlockTQ2_0, d), -1, 8},
    {TensorType::Q1_0, 2, true, set_q1_0, offsetof(BlockQ1_0, d), -1, 8},
    {TensorType::Q2_0, 3, true, set_q2_0, offsetof(BlockQ2_0, d), -1, 8},
};

}  // namespace

const GridFormat* find_grid(TensorType type) {
  const auto found = std::ranges::find(kGrids, type, &GridFormat::type);
  return found == std::end(kGrids) ? nullptr : found;
}

void BlockGrid::read(const GridFormat& format, std::byte* block) {
  const auto length = static_cast<int64_t>(type_info(format.type).block_length);
  const Codec& codec = codec_of(format.type);
  uniform_ = format.uniform, n_codes_ = format.n_codes;
  uint8_t codes[kMaxGridBlock];
  const auto decode_all = [&](int code, float* values) {
    std::fill_n(codes, length, byte(code));
    format.set_codes(codes, block);
    codec.decode(block, length, values);
  };
  if (!uniform_) {
    CHECK(n_codes_ <= kMaxGridCodes);
    for (int c = 0; c < n_codes_; ++c) decode_all(c, table_[c]);
    for (int64_t i = 0; i < length; ++i) {  // FP4's codes are not in the order of their values
      float least = table_[0][i], greatest = least;
      for (int c = 1; c < n_codes_; ++c)
        least = std::min(least, table_[c][i]), greatest = std::max(greatest, table_[c][i]);
      first_[i] = least;
      step_[i] = (greatest - least) / static_cast<float>(n_codes_ - 1);
    }
    return;
  }
  float last[kMaxGridBlock];
  decode_all(0, first_);
  decode_all(n_codes_ - 1, last);
  for (int64_t i = 0; i < length; ++i) step_[i] = (last[i] - first_[i]) / static_cast<float>(n_codes_ - 1);
}

int BlockGrid::nearest(int i, float x) const {
  if (uniform_) {
    if (step_[i] == 0) return 0;
    const float code = std::ceil((x - first_[i]) / step_[i] - 0.5f);
    return static_cast<int>(std::clamp(code, 0.0f, static_cast<float>(n_codes_ - 1)));
  }
  int best = 0;
  for (int c = 1; c < n_codes_; ++c)
    if (std::fabs(x - table_[c][i]) < std::fabs(x - table_[best][i])) best = c;
  return best;
}

}  // namespace carat
