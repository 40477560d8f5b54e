// Mixture of experts: tokens are gathered by expert, so that each chosen expert is one ordinary feed-forward
// block.
#include "train/ops_moe.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "train/ops_linear.h"
#include "train/vector_loops.h"

namespace carat::train {
namespace {

float inverse_root(int64_t n) { return static_cast<float>(1 / std::sqrt(static_cast<double>(n))); }

// The n_used best scores of one token (ties: the lower index) and the softmax over them, which equals the
// softmax over all experts renormalised over the chosen ones.
void choose(const MoeShape& shape, const float* scores, int32_t* experts, float* gates) {
  std::vector<int32_t> order(static_cast<size_t>(shape.n_experts));
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + shape.n_used, order.end(), [&](int32_t a, int32_t b) {
    return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
  });
  float sum = 0;
  for (int64_t j = 0; j < shape.n_used; ++j) {
    experts[j] = order[static_cast<size_t>(j)];
    sum += gates[j] = std::exp(scores[experts[j]] - scores[experts[0]]);
  }
  for (int64_t j = 0; j < shape.n_used; ++j) gates[j] /= sum;
}

// The router's norm weight: scale / sqrt(dim), [dim].
void make_router_gain(const MoeShape& shape, const float* scale, float* gain) {
  vector_loops().scale(scale, inverse_root(shape.dim), shape.dim, gain);
}

void route(const MoeShape& shape, const MoeWeights& weights, const float* a, const MoeKept& kept,
           float* scratch) {
  float* gain = scratch;
  float* scores = scratch + shape.dim;
  make_router_gain(shape, weights.router_scale, gain);
  vector_loops().rms_norm(a, gain, shape.n, shape.dim, shape.norm_eps, kept.routed, kept.inverse);
  linear(kept.routed, weights.router, shape.n, shape.dim, shape.n_experts, scores);
  for (int64_t t = 0; t < shape.n; ++t)
    choose(shape, scores + t * shape.n_experts, kept.experts + t * shape.n_used,
           kept.gates + t * shape.n_used);
}

// Gives every (token, expert) its place: a counting sort by expert.
void sort_places(const MoeShape& shape, const MoeKept& kept) {
  std::fill(kept.start, kept.start + shape.n_experts + 1, 0);
  for (int64_t i = 0; i < shape.n_places(); ++i) ++kept.start[kept.experts[i] + 1];
  std::partial_sum(kept.start, kept.start + shape.n_experts + 1, kept.start);
  std::vector<int32_t> next(kept.start, kept.start + shape.n_experts);
  for (int64_t i = 0; i < shape.n_places(); ++i) kept.place[i] = next[static_cast<size_t>(kept.experts[i])]++;
}

// Calls body(expert, first place, number of places) for every expert that was chosen.
template <class Body>
void for_each_expert(const MoeShape& shape, const MoeKept& kept, Body&& body) {
  for (int64_t e = 0; e < shape.n_experts; ++e)
    if (kept.start[e + 1] > kept.start[e]) body(e, kept.start[e], kept.start[e + 1] - kept.start[e]);
}

FfnWeights expert_weights(const MoeShape& shape, const MoeWeights& weights, int64_t e) {
  const float* gate = weights.gate_up + e * 2 * shape.n_ff * shape.dim;
  return {gate, gate + shape.n_ff * shape.dim, weights.down + e * shape.n_ff * shape.dim};
}

FfnGradients expert_gradients(const MoeShape& shape, const MoeGradients& gradients, int64_t e) {
  float* gate = gradients.gate_up + e * 2 * shape.n_ff * shape.dim;
  return {gate, gate + shape.n_ff * shape.dim, gradients.down + e * shape.n_ff * shape.dim};
}

FfnKept kept_at(const MoeShape& shape, const FfnKept& kept, int64_t place) {
  return {kept.gate + place * shape.n_ff, kept.up + place * shape.n_ff, kept.hidden + place * shape.n_ff};
}

// dy by place, the gradients of the gates (into dgates) and of the output scales.
void spread_gradient(const MoeShape& shape, const MoeWeights& weights, const MoeKept& kept, const float* dout,
                     float* dy, float* dgates, float* dscale) {
  const VectorLoops& loops = vector_loops();
  for (int64_t i = 0; i < shape.n_places(); ++i) {
    const float* d = dout + i / shape.n_used * shape.dim;
    const int32_t expert = kept.experts[i], place = kept.place[i];
    const float along = loops.dot(d, kept.y + place * shape.dim, shape.dim);
    dgates[i] = along * weights.down_scale[expert];
    dscale[expert] += along * kept.gates[i];
    loops.scale(d, kept.gates[i] * weights.down_scale[expert], shape.dim, dy + place * shape.dim);
  }
}

// From the gates back to the router's input a.
void route_backward(const MoeShape& shape, const MoeWeights& weights, const float* a, const MoeKept& kept,
                    const float* dgates, const MoeGradients& gradients, float* da, float* scratch) {
  float* gain = scratch;
  float* dgain = gain + shape.dim;
  float* dscores = dgain + shape.dim;
  float* drouted = dscores + shape.n * shape.n_experts;
  std::fill(dgain, drouted, 0.0f);
  for (int64_t t = 0; t < shape.n; ++t) {
    const float* g = kept.gates + t * shape.n_used;
    const float* d = dgates + t * shape.n_used;
    float mean = 0;
    for (int64_t j = 0; j < shape.n_used; ++j) mean += g[j] * d[j];
    for (int64_t j = 0; j < shape.n_used; ++j)
      dscores[t * shape.n_experts + kept.experts[t * shape.n_used + j]] = g[j] * (d[j] - mean);
  }
  linear_backward(kept.routed, weights.router, dscores, shape.n, shape.dim, shape.n_experts, false, drouted,
                  gradients.router);
  make_router_gain(shape, weights.router_scale, gain);
  vector_loops().rms_norm_backward(a, gain, kept.inverse, drouted, shape.n, shape.dim, true, da, dgain);
  vector_loops().add_scaled(dgain, inverse_root(shape.dim), shape.dim, gradients.router_scale);
}

}  // namespace

size_t moe_scratch(const MoeShape& shape) {
  const int64_t routing = 2 * shape.dim + shape.n * shape.n_experts + shape.n * shape.dim;
  const int64_t experts = 2 * shape.n_places() * shape.dim + 2 * shape.n_places() * shape.n_ff;
  return static_cast<size_t>(shape.n_places() + std::max(routing, experts));
}

void moe(const MoeShape& shape, const MoeWeights& weights, const float* a, const float* x,
         const MoeKept& kept, float* out, float* scratch) {
  const VectorLoops& loops = vector_loops();
  route(shape, weights, a, kept, scratch);
  sort_places(shape, kept);
  for (int64_t i = 0; i < shape.n_places(); ++i)
    std::copy_n(x + i / shape.n_used * shape.dim, shape.dim, kept.x + kept.place[i] * shape.dim);
  for_each_expert(shape, kept, [&](int64_t e, int64_t first, int64_t count) {
    ffn({count, shape.dim, shape.n_ff}, expert_weights(shape, weights, e), kept.x + first * shape.dim,
        kept_at(shape, kept.ffn, first), kept.y + first * shape.dim);
  });
  std::fill(out, out + shape.n * shape.dim, 0.0f);
  for (int64_t i = 0; i < shape.n_places(); ++i)
    loops.add_scaled(kept.y + kept.place[i] * shape.dim, kept.gates[i] * weights.down_scale[kept.experts[i]],
                     shape.dim, out + i / shape.n_used * shape.dim);
}

void moe_backward(const MoeShape& shape, const MoeWeights& weights, const float* a, const MoeKept& kept,
                  const float* dout, const MoeGradients& gradients, float* da, float* dx, float* scratch) {
  const VectorLoops& loops = vector_loops();
  float* dgates = scratch;
  float* dy = dgates + shape.n_places();
  float* dx_placed = dy + shape.n_places() * shape.dim;
  float* inner = dx_placed + shape.n_places() * shape.dim;
  spread_gradient(shape, weights, kept, dout, dy, dgates, gradients.down_scale);
  for_each_expert(shape, kept, [&](int64_t e, int64_t first, int64_t count) {
    ffn_backward({count, shape.dim, shape.n_ff}, expert_weights(shape, weights, e),
                 kept.x + first * shape.dim, kept_at(shape, kept.ffn, first), dy + first * shape.dim,
                 expert_gradients(shape, gradients, e), dx_placed + first * shape.dim, inner);
  });
  std::fill(dx, dx + shape.n * shape.dim, 0.0f);
  for (int64_t i = 0; i < shape.n_places(); ++i)
    loops.add_scaled(dx_placed + kept.place[i] * shape.dim, 1, shape.dim, dx + i / shape.n_used * shape.dim);
  route_backward(shape, weights, a, kept, dgates, gradients, da, dy);
}

}  // namespace carat::train
