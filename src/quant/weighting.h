// How much each element of a row counts in an importance-weighted scale search.
#pragma once

#include <cmath>
#include <cstdint>

namespace carat {

// The sum of squares of x[n], in index order.
inline float sum_of_squares(const float* x, int64_t n) {
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += x[i] * x[i];
  return sum;
}

// w[i] = importance[i] * sqrt(variance + x[i]^2): important columns count, and large elements a little more.
inline void weigh(const float* x, const float* importance, float variance, int64_t n, float* w) {
  for (int64_t i = 0; i < n; ++i) w[i] = importance[i] * std::sqrt(variance + x[i] * x[i]);
}

}  // namespace carat
