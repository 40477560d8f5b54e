// Token embeddings, the per-layer embeddings made of them, and their injection into the residual stream.
#pragma once

#include <cstdint>
#include <span>

#include "model/tokenizer.h"

namespace carat::train {

// out[t] = table[token[t]] * scale, rows of `dim`.
void embed(std::span<const Token> tokens, const float* table, int64_t dim, float scale, float* out);
// dtable[token[t]] += dout[t] * scale, in token order.
void embed_backward(std::span<const Token> tokens, const float* dout, int64_t dim, float scale,
                    float* dtable);

// p[t, l] = (table[token[t], l] * sqrt(per_layer_dim) + RMS(projection h[t] / sqrt(dim); norm)[l]) / sqrt(2).
struct PerLayerShape {
  int64_t dim, per_layer_dim, n_layers;
  float norm_eps;

  int64_t width() const { return per_layer_dim * n_layers; }
};
struct PerLayerWeights {
  const float *table, *projection, *norm;  // [n_vocab, width], [width, dim], [per_layer_dim]
};
struct PerLayerGradients {
  float *table, *projection, *norm;
};

// h [n, dim], the scaled embeddings; projected [n, width] and inverse [n, n_layers] are kept; p [n, width].
void per_layer_inputs(const PerLayerShape& shape, const PerLayerWeights& weights,
                      std::span<const Token> tokens, const float* h, float* projected, float* inverse,
                      float* p);
// dp is overwritten; dh +=; gradients +=.
void per_layer_inputs_backward(const PerLayerShape& shape, const PerLayerWeights& weights,
                               std::span<const Token> tokens, const float* h, const float* projected,
                               const float* inverse, float* dp, float* dh,
                               const PerLayerGradients& gradients);

}  // namespace carat::train
