// Lattices: putting weights on the points that a format can represent, and telling whether they already lie
// there. QAT checkpoints are published "unquantized" in BF16, but their weights sit on a 4-bit lattice;
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

// 32 numbers that are scale * code, codes -8 … 7, each rounded to BF16.
struct Lattice {
  float scale;  // least squares within what the rounding allows; negative only where the extreme code is -8
  int extreme;  // the code of the first element of the largest magnitude; 0: a block of zeros (scale 0)
  std::array<int8_t, kLatticeBlock> codes;
};

// The coarsest such lattice that 32 values lie on, if there is one.
std::optional<Lattice> find_lattice(const float* values);

struct LatticeReport {
  int64_t n_blocks = 0;
  int64_t n_on_lattice = 0;                  // blocks of zeros are
  std::array<int64_t, 16> n_with_extreme{};  // blocks on a lattice by extreme code + 8; zeros at 8

  // Blocks whose codes survive the reference Q4_0 encoder, which takes the extreme element for -8.
  int64_t n_kept_by_reference = 0;

  double share() const {
    return n_blocks > 0 ? static_cast<double>(n_on_lattice) / static_cast<double>(n_blocks) : 0;
  }
  LatticeReport& operator+=(const LatticeReport& other);
};

// Of the 32-blocks of each row; columns beyond the last whole block are not looked at.
LatticeReport lattice_share(const float* values, int64_t n_columns, int64_t n_rows);

}  // namespace carat
