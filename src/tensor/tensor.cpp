// Printing of shapes.
#include "tensor/tensor.h"

#include <fmt/format.h>

namespace carat {

std::string to_string(const Shape& shape) {
  size_t n = shape.size();
  while (n > 1 && shape[n - 1] == 1) --n;
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.begin() + static_cast<ptrdiff_t>(n), ", "));
}

}  // namespace carat
