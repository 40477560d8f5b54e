// Reads every byte of every tensor once: what is broken in it, whether it lies on a 4-bit lattice, and what
// its codes tell about its scales.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "audit/block_check.h"
#include "audit/q4_0_codes.h"
#include "base/thread_pool.h"
#include "quant/lattice.h"
#include "tensor/tensor.h"

namespace carat {

struct TensorScan {
  BlockCounts blocks;
  uint64_t n_zero_page_bytes = 0;
  LatticeReport lattice;  // of matrices in F32, F16 and BF16; otherwise of no blocks
  Q4_0Codes codes;        // of Q4_0 tensors

  TensorScan& operator+=(const TensorScan& later);
};

// Whether the lattice of a tensor is looked for: a matrix of 16- or 32-bit floats that quantizing is about.
bool has_lattice(const Tensor& tensor);

// One scan per tensor, in order; empty: interrupted (base/progress.h). `advanced` is called from this thread
// with the bytes done so far. Errors are none: any bytes can be scanned.
std::vector<TensorScan> scan_tensors(std::span<const Tensor> tensors, ThreadPool& pool,
                                     const std::function<void(uint64_t n_bytes)>& advanced);

}  // namespace carat
