// See rope.h.
#include "model/rope.h"

#include <cmath>

namespace carat {
namespace {

// A frequency this low turns no pair by as much as one bit at any position: leave the pair alone.
constexpr double kNoTurn = 1e-18;

}  // namespace

std::vector<float> inverse_frequencies(const LayerConfig& layer, const Tensor& divisors) {
  const int64_t n_pairs = layer.head_dim / 2;
  std::vector<float> frequencies;
  for (int64_t i = 0; i < n_pairs; ++i) {
    double frequency =
        std::pow(layer.rope_theta, -2.0 * static_cast<double>(i) / static_cast<double>(layer.head_dim));
    if (!layer.sliding && divisors) frequency /= static_cast<double>(divisors.f32()[i]);
    if (!layer.sliding && !divisors && i >= n_pairs / 4) frequency = 0;
    frequencies.push_back(frequency < kNoTurn ? 0.0f : static_cast<float>(frequency));
  }
  return frequencies;
}

}  // namespace carat
