// The codebooks of the IQ1, IQ2 and IQ3 formats: what a grid index stands for, and the signs that go with it.
//
// A grid is a set of short vectors over a few levels, such as 512 of the 3^8 vectors of {8, 25, 43}^8. Read
// each vector as a number whose first element is the lowest digit: the index of a vector is its rank among
// the grid's members in ascending order. So a grid is kept as one bit per possible vector (iq_grids.cpp).
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace carat {

template <int kLength, int kSize>
using Grid = std::array<std::array<int8_t, kLength>, kSize>;

extern const Grid<8, 2048> kIQ1Grid;    // of {-1, 0, 1}^8: IQ1_S, IQ1_M
extern const Grid<8, 256> kIQ2XXSGrid;  // of {8, 25, 43}^8
extern const Grid<8, 512> kIQ2XSGrid;
extern const Grid<8, 1024> kIQ2SGrid;
extern const Grid<4, 256> kIQ3XXSGrid;  // of {4, 12, 20, 28, 36, 44, 52, 62}^4
extern const Grid<4, 512> kIQ3SGrid;    // of {1, 3, 5, 7, 9, 11, 13, 15}^4

// Seven stored signs and the eighth, which makes the number of minus signs even. Bit j: element j is
// negative.
inline unsigned even_signs(unsigned seven) { return seven | (std::popcount(seven) % 2u) << 7; }

// out[i] = step * vector[i], negated where bit i of `signs` is set.
template <size_t kLength>
inline void scale_with_signs(float step, const std::array<int8_t, kLength>& vector, unsigned signs,
                             float* out) {
  for (size_t i = 0; i < kLength; ++i) {
    const int level = vector[i];
    out[i] = step * static_cast<float>(signs >> i & 1 ? -level : level);
  }
}

// out[i] = step * (vector[i] - 1/8), or + 1/8: the IQ1 formats' way to make ternary vectors cover more.
inline void shift_and_scale(float step, const std::array<int8_t, 8>& vector, bool down, float* out) {
  const float shift = down ? -0.125f : 0.125f;
  for (size_t i = 0; i < vector.size(); ++i) out[i] = step * (static_cast<float>(vector[i]) + shift);
}

}  // namespace carat
