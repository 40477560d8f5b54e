// Linear layers: y = x W^T for GGUF matrices, whose rows [out, in] are row-major. All gradients of weights
// are added to what is there.
#pragma once

#include <cstdint>

namespace carat::train {

// y [n, out] = scale * x [n, in] w^T, w [out, in]
void linear(const float* x, const float* w, int64_t n, int64_t in, int64_t out, float* y, float scale = 1);

// dw += scale * dy^T x;  dx = scale * dy w, or += if `accumulate`; dx may be nullptr.
void linear_backward(const float* x, const float* w, const float* dy, int64_t n, int64_t in, int64_t out,
                     bool accumulate, float* dx, float* dw, float scale = 1);

}  // namespace carat::train
