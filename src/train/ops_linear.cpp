// Linear layers on the three matrix products of blas.h.
#include "train/ops_linear.h"

#include "train/blas.h"

namespace carat::train {

void linear(const float* x, const float* w, int64_t n, int64_t in, int64_t out, float* y, float scale) {
  multiply_nt(n, out, in, scale, x, in, w, in, 0, y, out);
}

void linear_backward(const float* x, const float* w, const float* dy, int64_t n, int64_t in, int64_t out,
                     bool accumulate, float* dx, float* dw, float scale) {
  multiply_tn(out, in, n, scale, dy, out, x, in, 1, dw, in);
  if (dx != nullptr) multiply_nn(n, in, out, scale, dy, out, w, in, accumulate ? 1 : 0, dx, in);
}

}  // namespace carat::train
