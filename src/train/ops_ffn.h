// The gated feed-forward block: down(gelu_tanh(gate x) * up x).
#pragma once

#include <cstdint>

namespace carat::train {

struct FfnShape {
  int64_t n, dim, n_ff;
};
struct FfnWeights {
  const float *gate, *up, *down;  // [n_ff, dim] x2, [dim, n_ff]
};
struct FfnGradients {
  float *gate, *up, *down;
};
// What the backward pass needs again: [n, n_ff] each.
struct FfnKept {
  float *gate, *up, *hidden;
};

void ffn(const FfnShape& shape, const FfnWeights& weights, const float* x, const FfnKept& kept, float* y);

// dx =; gradients +=. scratch [2, n, n_ff].
void ffn_backward(const FfnShape& shape, const FfnWeights& weights, const float* x, const FfnKept& kept,
                  const float* dy, const FfnGradients& gradients, float* dx, float* scratch);

}  // namespace carat::train
