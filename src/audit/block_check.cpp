// One table says where each type keeps its scales (the rule of ggml's row validation); plain floats are
// looked at themselves.
#include "audit/block_check.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace carat {
namespace {

// Where a block keeps its half-precision scales and minima. A block without any that is not zero stands for
// zeros.
struct HalfFields {
  TensorType type;
  int n_fields;
  uint32_t offsets[2];
};

constexpr HalfFields kHalfFields[] = {
    {TensorType::Q4_0, 1, {0}},      {TensorType::Q4_1, 2, {0, 2}}, {TensorType::Q5_0, 1, {0}},
    {TensorType::Q5_1, 2, {0, 2}},   {TensorType::Q8_0, 1, {0}},    {TensorType::Q8_1, 1, {0}},
    {TensorType::Q2_K, 2, {80, 82}}, {TensorType::Q3_K, 1, {108}},  {TensorType::Q4_K, 2, {0, 2}},
    {TensorType::Q5_K, 2, {0, 2}},   {TensorType::Q6_K, 1, {208}},  {TensorType::IQ2_XXS, 1, {0}},
    {TensorType::IQ2_XS, 1, {0}},    {TensorType::IQ2_S, 1, {0}},   {TensorType::IQ3_XXS, 1, {0}},
    {TensorType::IQ3_S, 1, {0}},     {TensorType::IQ1_S, 1, {0}},   {TensorType::IQ4_NL, 1, {0}},
    {TensorType::IQ4_XS, 1, {0}},    {TensorType::TQ1_0, 1, {52}},  {TensorType::TQ2_0, 1, {64}},
    {TensorType::Q1_0, 1, {0}},      {TensorType::Q2_0, 1, {0}},
};

uint16_t load_half(const std::byte* p) {
  uint16_t half;
  std::memcpy(&half, p, sizeof half);
  return half;
}
bool is_finite_half(uint16_t half) { return (half & 0x7c00u) != 0x7c00u; }
bool is_zero_half(uint16_t half) { return (half & 0x7fffu) == 0; }

// IQ1_M: the top four bits of its four last words.
uint16_t scale_of_iq1_m(const std::byte* block) {
  const std::byte* words = block + 48;
  return static_cast<uint16_t>(load_half(words) >> 12 | (load_half(words + 2) >> 8 & 0x00f0u) |
                               (load_half(words + 4) >> 4 & 0x0f00u) | (load_half(words + 6) & 0xf000u));
}

void count(BlockCounts& counts, bool finite, bool zero) {
  if (!finite && counts.n_not_finite++ == 0) counts.first_not_finite = counts.n_blocks;
  counts.n_zero += zero;
  ++counts.n_blocks;
}

template <class Check>
BlockCounts for_blocks(std::span<const std::byte> rows, size_t block_bytes, Check&& check) {
  BlockCounts counts;
  for (size_t at = 0; at + block_bytes <= rows.size(); at += block_bytes) check(counts, rows.data() + at);
  return counts;
}

// Elements of `Bits` with the exponent mask given; blocks of 32 within each row, the last one as long as is
// left.
template <class Bits>
BlockCounts check_floats(std::span<const std::byte> rows, int64_t n_columns, Bits exponent) {
  constexpr Bits kNoSign = static_cast<Bits>(~Bits{0} >> 1);
  BlockCounts counts;
  const size_t row_bytes = static_cast<size_t>(n_columns) * sizeof(Bits), block_bytes = 32 * sizeof(Bits);
  for (size_t row = 0; row_bytes > 0 && row + row_bytes <= rows.size(); row += row_bytes)
    for (size_t at = 0; at < row_bytes; at += block_bytes) {
      Bits values[32] = {};
      std::memcpy(values, rows.data() + row + at, std::min(block_bytes, row_bytes - at));
      Bits any = 0;
      bool finite = true;
      for (const Bits value : values) {
        any = static_cast<Bits>(any | (value & kNoSign));
        finite &= (value & exponent) != exponent;
      }
      count(counts, finite, any == 0);
    }
  return counts;
}

}  // namespace

BlockCounts& BlockCounts::operator+=(const BlockCounts& later) {
  if (first_not_finite < 0 && later.first_not_finite >= 0)
    first_not_finite = n_blocks + later.first_not_finite;
  n_blocks += later.n_blocks;
  n_zero += later.n_zero;
  n_not_finite += later.n_not_finite;
  return *this;
}

BlockCounts check_blocks(TensorType type, int64_t n_columns, std::span<const std::byte> rows) {
  const size_t block_bytes = type_info(type).block_bytes;
  switch (type) {
    case TensorType::F32:
      return check_floats<uint32_t>(rows, n_columns, 0x7f800000u);
    case TensorType::F16:
      return check_floats<uint16_t>(rows, n_columns, 0x7c00u);
    case TensorType::BF16:
      return check_floats<uint16_t>(rows, n_columns, 0x7f80u);
    case TensorType::F64:
      return check_floats<uint64_t>(rows, n_columns, 0x7ff0000000000000u);
    case TensorType::MXFP4:  // E8M0: 255 is NaN
      return for_blocks(rows, block_bytes, [](BlockCounts& counts, const std::byte* b) {
        count(counts, b[0] != std::byte{255}, false);
      });
    case TensorType::Q8_K:
      return for_blocks(rows, block_bytes, [](BlockCounts& counts, const std::byte* b) {
        uint32_t bits;
        std::memcpy(&bits, b, sizeof bits);
        count(counts, (bits & 0x7f800000u) != 0x7f800000u, (bits & 0x7fffffffu) == 0);
      });
    case TensorType::IQ1_M:
      return for_blocks(rows, block_bytes, [](BlockCounts& counts, const std::byte* b) {
        count(counts, is_finite_half(scale_of_iq1_m(b)), is_zero_half(scale_of_iq1_m(b)));
      });
    default:
      break;
  }
  for (const HalfFields& fields : kHalfFields) {
    if (fields.type != type) continue;
    return for_blocks(rows, block_bytes, [&](BlockCounts& counts, const std::byte* b) {
      bool finite = true, zero = true;
      for (int f = 0; f < fields.n_fields; ++f) {
        const uint16_t half = load_half(b + fields.offsets[f]);
        finite &= is_finite_half(half);
        zero &= is_zero_half(half);
      }
      count(counts, finite, zero);
    });
  }
  return for_blocks(rows, block_bytes,
                    [](BlockCounts& counts, const std::byte*) { count(counts, true, false); });
}

uint64_t count_zero_pages(std::span<const std::byte> bytes) {
  uint64_t n_zero = 0;
  for (size_t at = 0; at + kPage <= bytes.size(); at += kPage) {
    const std::byte* page = bytes.data() + at;
    // A page is all zero if it begins with a zero and equals itself one byte later.
    if (page[0] == std::byte{0} && std::memcmp(page, page + 1, kPage - 1) == 0) n_zero += kPage;
  }
  return n_zero;
}

}  // namespace carat
