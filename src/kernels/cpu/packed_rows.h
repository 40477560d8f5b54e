// A second layout for weights, made when a model is loaded and somebody pays its memory: sixteen rows of each block in the
// order in which the integer kernels' registers hold them. Reading needs no transposition then, and is one stream.
//
//   panel of 16 rows = for each block of k, its pieces one after another; a piece is 1, 2, 4 or 16 bytes of the block,
//   a piece of 1, 2 or 4 bytes = [16 rows][its bytes], one of 16 bytes = [4][16 rows][4]
//
// So panels have as many bytes as their rows, and the pieces of a block stand at 16 times the place that they have in it.
// docs/decisions/0019 says what this wins.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/tensor.h"

namespace carat {

// Whether the weight's type has such a layout and each of its matrices whole panels.
bool has_packed_rows(const Tensor& weight);

// Packs panels [first, end) of all of the weight's rows into `out`, where panel 0 begins. has_packed_rows(weight).
void pack_rows(const Tensor& weight, int64_t first, int64_t end, std::byte* out);

}  // namespace carat
