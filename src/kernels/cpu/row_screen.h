// CpuRowScreen: a weight's rows in 5 bits a value, sixteen rows to a panel, and for each row how far its products can be
// from those of the weight. docs/decisions/0012 says why these bits and these bounds.
//
//   panel = codes [k/32 blocks][320 bytes]: for values 8j … 8j+7 of a block, j = 0 … 3, 64 bytes [16 rows][4] of their
//           codes' high bits: low nibbles are values 8j … 8j+3, high nibbles the next four; then 64 bytes [16 rows][4]
//           of lowest bits: bit g of byte i is value 4g + i
//         + scales [k/32][16 rows] u8, filled up to a multiple of 64 bytes
//         + gain, residual, norm [16 rows] f32 each
//   value = gain[r] * scale[r, block] * (code - 15.5)
//   residual[r] >= ||row - its values||, norm[r] >= ||row||, both infinite where the row has no finite norm
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/memory.h"
#include "base/thread_pool.h"
#include "kernels/backend.h"

namespace carat {

class CpuRowScreen final : public RowScreen {
 public:
  // CHECKs exists_for(weight).
  CpuRowScreen(const Tensor& weight, ThreadPool& pool);

  static bool exists_for(const Tensor& weight);
  static size_t n_bytes_for(const Tensor& weight);  // 0: there is none

  size_t n_bytes() const override { return memory_.size(); }
  int64_t panel_bytes() const { return panel_bytes_; }
  const uint8_t* panel(int64_t i) const { return memory_.data() + i * panel_bytes_; }
  bool is_of(const Tensor& weight) const { return weight.data == data_ && weight.n_rows() == n_rows_; }

 private:
  void fill(const Tensor& weight, int64_t row, float* values);

  int64_t n_rows_;
  int64_t panel_bytes_;
  const std::byte* data_;  // of the weight
  AlignedArray<uint8_t> memory_;
};

}  // namespace carat
