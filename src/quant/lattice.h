// Lattices: putting weights on the points that a format can represent, and telling whether they already lie
// there. QAT checkpoints are published "unquantized" in 16 bits, but their weights sit on a 4-bit lattice;
// whether a plain conversion keeps them depends on which code the largest weight of each block has.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/thread_pool.h"
#include "tensor/type.h"

namespace carat {

// values := decode(encode(values)), row by row over the pool.
void project(TensorType type, float* values, int64_t n_columns, int64_t n_rows, ThreadPool& pool);

inline constexpr int64_t kLatticeBlock = 32;

// 32 numbers that are scale * code, codes -8 … 7, each rounded to the type it was stored in.
struct Lattice {
  float scale;  // least squares within what the rounding allows; negative only where the extreme code is -8
  int extreme;  // the code of the first element of the largest magnitude; 0: a block of zeros (scale 0)
  std::array<int8_t, kLatticeBlock> codes;
  double lowest_scale = 0, highest_scale = 0;  // of |scale|: all in between give these values after rounding
};

// The coarsest such lattice that 32 values lie on, if there is one. `stored` is what rounded them: BF16, F16
// or F32. F16 and F32 are looked through where all values of the block are BF16 numbers: then BF16 had
// rounded them before.
std::optional<Lattice> find_lattice(const float* values, TensorType stored = TensorType::BF16);

struct LatticeReport {
  int64_t n_blocks = 0;
  int64_t n_on_lattice = 0;                  // blocks of zeros are
  std::array<int64_t, 16> n_with_extreme{};  // blocks on a lattice by extreme code + 8; zeros at 8

  // Blocks whose codes survive the reference Q4_0 encoder, which takes the extreme element for -8.
  int64_t n_kept_by_reference = 0;

  // Blocks, zeros apart, that some scale of this type explains: BF16, as trainers store scales; F16, as Q4_0
  // stores them, so that these blocks fit Q4_0 without any loss.
  int64_t n_with_bf16_scale = 0, n_with_f16_scale = 0;

  double share() const {
    return n_blocks > 0 ? static_cast<double>(n_on_lattice) / static_cast<double>(n_blocks) : 0;
  }
  LatticeReport& operator+=(const LatticeReport& other);
};

// Of the 32-blocks of each row; columns beyond the last whole block are not looked at.
LatticeReport lattice_share(const float* values, int64_t n_columns, int64_t n_rows,
                            TensorType stored = TensorType::BF16);

}  // namespace carat
