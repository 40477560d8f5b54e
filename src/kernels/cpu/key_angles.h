// Cosines and sines of all positions so far, for caches that hold one vector as key and value: their keys are
// turned each time they are read.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/memory.h"
#include "base/thread_pool.h"

namespace carat {

// Of one set of frequencies; another one replaces it. The angles are those that norm_rope() turns by.
class KeyAngles {
 public:
  static constexpr int64_t kPiece = 1024;  // positions that lie together

  // Makes positions [0, n) known.
  void grow(std::span<const float> inverse_frequency, int64_t n_positions, ThreadPool& pool);

  // Leading pairs of a head that turn at all.
  int64_t n_turning() const { return n_turning_; }
  // [2 n_turning]: cosines, then sines. The positions of a piece follow each other.
  const float* row(int64_t position) const {
    return pieces_[static_cast<size_t>(position / kPiece)].data() + position % kPiece * 2 * n_turning_;
  }

 private:
  std::vector<float> inverse_frequency_;
  int64_t n_turning_ = 0;
  std::vector<AlignedArray<float>> pieces_;  // [kPiece, 2 n_turning]
};

}  // namespace carat
