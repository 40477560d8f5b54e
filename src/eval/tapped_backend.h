// A tapped backend: another backend, and somebody who is shown what each of its matrices gets to multiply.
// The network runs as it always does, with the same bits; nothing in the network or in the kernels knows of
// taps.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "kernels/backend.h"

namespace carat {

// Rows that all of `weights` are multiplied with. In a stack of matrices (experts) they are those of matrix
// `matrix`.
struct TappedInput {
  std::span<const Tensor* const> weights;
  int64_t matrix;
  const float* x;  // [n_rows, n_columns of the weights]
  int64_t n_rows;
};
using InputObserver = std::function<void(const TappedInput&)>;

// `inner` outlives it. Experts are computed twice, once for the result and once for the inputs of their
// second matrix.
std::unique_ptr<Backend> tap(Backend& inner, InputObserver observer);

}  // namespace carat
