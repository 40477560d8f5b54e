// Random: a small seeded generator, because the lab's texts, synthetic weights and bootstrap samples must be
// reproducible. bits(), uniform(), below() and shuffle() are integer arithmetic: the same on every machine and
// standard library. normal() also goes through the mathematical library, whose last bit may differ from one to
// the next. Not for secrets.
#pragma once

#include <cmath>
#include <cstdint>
#include <utility>

#include "base/check.h"

namespace carat {

// splitmix64 (Steele, Lea, Flood 2014): also the way to derive independent seeds.
constexpr uint64_t mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// xoshiro256** (Blackman, Vigna 2018).
class Random {
 public:
  explicit Random(uint64_t seed) {
    for (uint64_t& word : state_) word = seed = mix64(seed);
  }

  uint64_t bits() {
    const uint64_t result = rotate(state_[1] * 5, 7) * 9;
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotate(state_[3], 45);
    return result;
  }

  // Uniform in [0, 1), 53 bits.
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }

  // Uniform in {0, …, n-1}, unbiased; n >= 1.
  int64_t below(int64_t n) {
    CHECK(n >= 1);
    const uint64_t range = static_cast<uint64_t>(n);
    const uint64_t limit = UINT64_MAX - UINT64_MAX % range;
    uint64_t draw = bits();
    while (draw >= limit) draw = bits();
    return static_cast<int64_t>(draw % range);
  }

  // Standard normal (Box-Muller, one of the pair); up to the rounding of log and cos.
  double normal() {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(6.283185307179586 * uniform());
  }

  template <class Container>
  void shuffle(Container& items) {
    for (int64_t i = static_cast<int64_t>(items.size()) - 1; i > 0; --i)
      std::swap(items[static_cast<size_t>(i)], items[static_cast<size_t>(below(i + 1))]);
  }

 private:
  static constexpr uint64_t rotate(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }
  uint64_t state_[4];
};

}  // namespace carat
