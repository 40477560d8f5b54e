// A quantized tensor that gradients can move: each code as a real number on its block's grid, rounded
// wherever the network sees it while the gradient passes straight through (Bengio et al. 2013), and the F16
// scales of each block as factors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/memory.h"
#include "base/thread_pool.h"
#include "quant/grid.h"
#include "tensor/tensor.h"
#include "train/vector_loops.h"

namespace carat::train {

class TunedCodes {
 public:
  // `quantized`, of a type with a grid, is copied; original [n_elements] is what it was made from. `pull`:
  // how far, in steps of the grid, a code's number starts from the code towards the original.
  TunedCodes(const Tensor& quantized, const float* original, float pull, ThreadPool& pool);

  // Where `codes` and `scales` say (rates in steps of the grid, and relative), against `gradient` of
  // decode()'s values [n_elements].
  void step(const AdamStep& codes, const AdamStep& scales, const float* gradient, ThreadPool& pool);

  void decode(float* values, ThreadPool& pool) const;  // [n_elements]
  std::span<const std::byte> blocks() const { return blocks_; }

 private:
  class Block;

  void move_block(int64_t b, const AdamStep& codes, const float* gradient);
  void write_block(int64_t b);

  TensorType type_;
  const GridFormat& format_;
  Shape shape_;
  int64_t length_, n_blocks_;
  size_t block_bytes_;
  std::vector<float> factors_;  // of whole matrices; empty: none
  std::vector<std::byte> blocks_;
  AlignedArray<float> numbers_, moment1_, moment2_;  // of the codes
  // Of the scales, [n_blocks, n_scales_]; a scale is its start times exp(log_factor).
  int64_t n_scales_;
  std::vector<float> scale_start_, log_factor_, scale_gradient_, scale_moment1_, scale_moment2_;
};

}  // namespace carat::train
