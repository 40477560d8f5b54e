// Embeddings and per-layer inputs.
#include "train/ops_embedding.h"

#include <cmath>

#include "train/ops_linear.h"
#include "train/vector_loops.h"

namespace carat::train {
namespace {

float inverse_root(int64_t n) { return static_cast<float>(1 / std::sqrt(static_cast<double>(n))); }
const float kHalfRoot = static_cast<float>(std::sqrt(0.5));

}  // namespace

void embed(std::span<const Token> tokens, const float* table, int64_t dim, float scale, float* out) {
  const VectorLoops& loops = vector_loops();
  for (const Token token : tokens) {
    loops.scale(table + token * dim, scale, dim, out);
    out += dim;
  }
}

void embed_backward(std::span<const Token> tokens, const float* dout, int64_t dim, float scale,
                    float* dtable) {
  const VectorLoops& loops = vector_loops();
  for (const Token token : tokens) {
    loops.add_scaled(dout, scale, dim, dtable + token * dim);
    dout += dim;
  }
}

void per_layer_inputs(const PerLayerShape& shape, const PerLayerWeights& weights,
                      std::span<const Token> tokens, const float* h, float* projected, float* inverse,
                      float* p) {
  const VectorLoops& loops = vector_loops();
  const int64_t n = static_cast<int64_t>(tokens.size()), width = shape.width();
  const float table_scale = static_cast<float>(std::sqrt(static_cast<double>(shape.per_layer_dim)));
  linear(h, weights.projection, n, shape.dim, width, projected, inverse_root(shape.dim));
  loops.rms_norm(projected, weights.norm, n * shape.n_layers, shape.per_layer_dim, shape.norm_eps, p,
                 inverse);
  for (int64_t t = 0; t < n; ++t)
    loops.add_then_scale(weights.table + tokens[static_cast<size_t>(t)] * width, table_scale, kHalfRoot,
                         width, p + t * width);
}

void per_layer_inputs_backward(const PerLayerShape& shape, const PerLayerWeights& weights,
                               std::span<const Token> tokens, const float* h, const float* projected,
                               const float* inverse, float* dp, float* dh,
                               const PerLayerGradients& gradients) {
  const VectorLoops& loops = vector_loops();
  const int64_t n = static_cast<int64_t>(tokens.size()), width = shape.width();
  const float table_scale = static_cast<float>(std::sqrt(static_cast<double>(shape.per_layer_dim)));
  loops.scale(dp, kHalfRoot, n * width, dp);
  embed_backward(tokens, dp, width, table_scale, gradients.table);
  loops.rms_norm_backward(projected, weights.norm, inverse, dp, n * shape.n_layers, shape.per_layer_dim,
                          false, dp, gradients.norm);
  linear_backward(h, weights.projection, dp, n, shape.dim, width, true, dh, gradients.projection,
                  inverse_root(shape.dim));
}

}  // namespace carat::train
