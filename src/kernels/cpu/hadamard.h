// The orthonormal Hadamard transform of 64 values, which is its own inverse.
#pragma once

#include <cstdint>

namespace carat {

constexpr int64_t kMixed = 64;  // values that are mixed with each other

// x[64 i … 64 i + 63] = H x[the same] / 8 for all i; n is a multiple of 64. In place, sums in one fixed
// order.
void mix(float* x, int64_t n);

}  // namespace carat
