// The mixture of experts beside the dense branch: router, the best few experts per token, their weighted sum.
#pragma once

#include <cstddef>
#include <cstdint>

#include "train/ops_ffn.h"

namespace carat::train {

struct MoeShape {
  int64_t n, dim, n_experts, n_used, n_ff;
  float norm_eps;

  int64_t n_places() const { return n * n_used; }  // a token stands once for each of its experts
};

struct MoeWeights {
  const float *router, *router_scale;  // [n_experts, dim], [dim]
  const float *gate_up, *down;         // [n_experts, 2 n_ff, dim] (gate rows first), [n_experts, dim, n_ff]
  const float* down_scale;             // [n_experts]
};
struct MoeGradients {
  float *router, *router_scale, *gate_up, *down, *down_scale;
};

// Places are sorted by expert, then token: expert e's are [start[e], start[e + 1]).
struct MoeKept {
  float *routed, *inverse;   // [n, dim], [n]: the router's input
  float* gates;              // [n, n_used]
  int32_t *experts, *place;  // [n, n_used], best first
  int32_t* start;            // [n_experts + 1]
  float *x, *y;              // [n_places, dim]
  FfnKept ffn;               // [n_places, n_ff]
};

// Floats of scratch: the most that either direction needs.
size_t moe_scratch(const MoeShape& shape);

// a [n, dim]: the residual stream, which the router looks at; x [n, dim]: the experts' input; out [n, dim] =.
void moe(const MoeShape& shape, const MoeWeights& weights, const float* a, const float* x,
         const MoeKept& kept, float* out, float* scratch);

// da +=, dx =; the choice of experts is constant, gradients flow through the gates and the chosen experts.
void moe_backward(const MoeShape& shape, const MoeWeights& weights, const float* a, const MoeKept& kept,
                  const float* dout, const MoeGradients& gradients, float* da, float* dx, float* scratch);

}  // namespace carat::train
