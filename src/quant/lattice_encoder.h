// Q4_0 from weights that already lie on a 4-bit lattice (an unquantized QAT checkpoint): the codes that
// training chose are found again and stored, whichever code the largest weight of a block has. The reference
// encoder keeps them only where that is -8.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/thread_pool.h"
#include "tensor/tensor.h"

namespace carat {

// What became of the 32-blocks of some rows.
struct LatticeBlocks {
  int64_t n_blocks = 0;
  int64_t n_on_lattice = 0;  // their codes are stored; blocks of zeros are among them
  int64_t n_exact =
      0;  // of those: decoded and rounded to the source's type they are the source's very numbers

  LatticeBlocks& operator+=(const LatticeBlocks& other) {
    n_blocks += other.n_blocks, n_on_lattice += other.n_on_lattice, n_exact += other.n_exact;
    return *this;
  }
};

// At least half of the 32-blocks do, which few tensors have by chance. False for types other than BF16, F16
// and F32, and for rows that are no multiples of 32.
bool lies_on_lattice(const Tensor& tensor, ThreadPool& pool);

// One row of n floats, stored as `stored` (BF16, F16 or F32) before, to Q4_0 blocks. A block on a lattice
// keeps its codes, under the scale of its lattice that F16 holds best. For any other block each code from 1
// to 8 is tried for its largest weight, and that one taken which leaves the smallest squared error once the
// scale is the least-squares one.
LatticeBlocks encode_q4_0_on_lattice(const float* row, int64_t n, TensorType stored, std::byte* blocks);

}  // namespace carat
