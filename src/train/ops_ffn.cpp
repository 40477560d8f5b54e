// The gated feed-forward block and its gradient.
#include "train/ops_ffn.h"

#include "train/ops_linear.h"
#include "train/vector_loops.h"

namespace carat::train {

void ffn(const FfnShape& shape, const FfnWeights& weights, const float* x, const FfnKept& kept, float* y) {
  linear(x, weights.gate, shape.n, shape.dim, shape.n_ff, kept.gate);
  linear(x, weights.up, shape.n, shape.dim, shape.n_ff, kept.up);
  vector_loops().geglu(kept.gate, kept.up, shape.n_ff, shape.n, shape.n_ff, kept.hidden);
  linear(kept.hidden, weights.down, shape.n, shape.n_ff, shape.dim, y);
}

void ffn_backward(const FfnShape& shape, const FfnWeights& weights, const float* x, const FfnKept& kept,
                  const float* dy, const FfnGradients& gradients, float* dx, float* scratch) {
  float* dgate = scratch;  // the hidden vector's gradient first, then the gate's
  float* dup = scratch + shape.n * shape.n_ff;
  linear_backward(kept.hidden, weights.down, dy, shape.n, shape.n_ff, shape.dim, false, dgate,
                  gradients.down);
  vector_loops().geglu_backward(kept.gate, kept.up, shape.n_ff, dgate, shape.n, shape.n_ff, dgate, dup);
  linear_backward(x, weights.gate, dgate, shape.n, shape.dim, shape.n_ff, false, dx, gradients.gate);
  linear_backward(x, weights.up, dup, shape.n, shape.dim, shape.n_ff, true, dx, gradients.up);
}

}  // namespace carat::train
