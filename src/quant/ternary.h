// The ternary formats' rounding: -1, 0 or 1 times the scale, as codes 0, 1, 2.
#pragma once

#include <cmath>

namespace carat {

// Half away from zero. `otherwise` is the code of what is not a number, or infinite because the inverse of a
// subnormal scale overflows: the references differ in what their conversions make of it on x86.
inline int ternary_code(float x, float inverse, int otherwise) {
  const float v = x * inverse;
  return std::fabs(v) < 2 ? static_cast<int>(std::round(v)) + 1 : otherwise;
}

}  // namespace carat
