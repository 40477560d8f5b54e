// Block checks: numbers in a tensor's bytes that no healthy file holds, whatever the type: scales and
// elements that are infinite or not a number, blocks of zeros, and pages that were never written. Safe on any
// bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/type.h"

namespace carat {

struct BlockCounts {
  int64_t n_blocks = 0;      // of the type; 32 elements of F32, F16 and BF16
  int64_t n_zero = 0;        // stand for zeros only
  int64_t n_not_finite = 0;  // hold a scale or an element that is infinite or NaN
  int64_t first_not_finite = -1;

  // Counts of what follows `this` in the tensor.
  BlockCounts& operator+=(const BlockCounts& later);
};

// Whole rows of a type. Types of integers, and those without a scale that can be wrong, have neither.
BlockCounts check_blocks(TensorType type, int64_t n_columns, std::span<const std::byte> rows);

// Bytes in stretches of kPage that are all zero: what a download leaves where it never came to.
inline constexpr size_t kPage = 4096;
uint64_t count_zero_pages(std::span<const std::byte> bytes);

}  // namespace carat
