// Grows by whole pieces, so that decoding one token after another fills them rarely.
#include "kernels/cpu/key_angles.h"

#include <algorithm>
#include <cmath>

namespace carat {

void KeyAngles::grow(std::span<const float> inverse_frequency, int64_t n_positions, ThreadPool& pool) {
  if (!std::ranges::equal(inverse_frequency, inverse_frequency_)) {
    pieces_.clear();
    inverse_frequency_.assign(inverse_frequency.begin(), inverse_frequency.end());
    n_turning_ = static_cast<int64_t>(inverse_frequency_.size());
    while (n_turning_ > 0 && inverse_frequency_[static_cast<size_t>(n_turning_ - 1)] == 0) --n_turning_;
  }
  const int64_t n_known = static_cast<int64_t>(pieces_.size()) * kPiece;
  if (n_positions <= n_known) return;
  for (int64_t n = n_known; n < n_positions; n += kPiece)
    pieces_.emplace_back(static_cast<size_t>(kPiece * 2 * n_turning_));
  const int64_t n_new = static_cast<int64_t>(pieces_.size()) * kPiece - n_known;
  pool.parallel_for(n_new, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t position = n_known + begin; position < n_known + end; ++position) {
      float* cosine =
          pieces_[static_cast<size_t>(position / kPiece)].data() + position % kPiece * 2 * n_turning_;
      float* sine = cosine + n_turning_;
      for (int64_t i = 0; i < n_turning_; ++i) {
        const double angle =
            static_cast<double>(position) * static_cast<double>(inverse_frequency_[static_cast<size_t>(i)]);
        cosine[i] = static_cast<float>(std::cos(angle));
        sine[i] = static_cast<float>(std::sin(angle));
      }
    }
  });
}

}  // namespace carat
