// Activations: what one forward pass of some rows leaves behind for the backward pass, carved out of one
// block of memory whose size is known from the config and the number of tokens.
#pragma once

#include <cstdint>
#include <vector>

#include "base/memory.h"
#include "model/config.h"
#include "train/ops_attention.h"
#include "train/ops_ffn.h"
#include "train/ops_moe.h"

namespace carat::train {

struct LayerActivations {
  float* h;                                              // [n, dim] the layer's input
  float *x_attention, *inverse_attention;                // [n, dim], [n]
  float *q_raw, *q, *inverse_q;                          // [n, q_size] x2, [n, n_heads]
  float *k_raw, *v_raw, *k, *v, *inverse_k, *inverse_v;  // owning layers; [n, kv_size] x4, [n, n_kv_heads] x2
  float *attended, *log_sum;                             // [n, q_size], [n, n_heads]
  float *o, *inverse_o;        // [n, dim], [n] the attention's output before its norm
  float* h_attention;          // [n, dim] the residual after attention
  float *x_ffn, *inverse_ffn;  // [n, dim], [n]
  FfnKept ffn;                 // [n, n_ff] x3
  float *down, *inverse_down;  // [n, dim], [n] the dense branch before its norm
  // Experts: input, output before its norm, both branches' sum; with the inverses of their norms.
  float *x_experts, *inverse_x_experts, *experts, *inverse_experts, *branches, *inverse_branches;
  MoeKept moe;
  float* h_ffn;                              // [n, dim] the residual after the FFN
  float *per_layer_gate, *per_layer_hidden;  // [n, per_layer_dim] x2
  float *per_layer_out, *inverse_per_layer,
      *h_per_layer;  // [n, dim], [n], [n, dim] (h_ffn without per-layer inputs)
};

class Activations {
 public:
  // keep: for backward(). Without, layers share their memory and only the outputs and K and V stay.
  Activations(const Config& config, int64_t n_rows, int64_t length, bool keep);

  // What one takes.
  static int64_t n_floats(const Config& config, int64_t n_rows, int64_t length, bool keep);

  int64_t n_rows, length;
  bool keep;
  std::vector<LayerActivations> layers;
  float *per_layer_projected, *inverse_projected,
      *per_layer;                       // [n, L * per_layer_dim], [n, L], [n, L * per_layer_dim]
  float *h_out, *hidden, *inverse_out;  // [n, dim] x2, [n]
  float* scratch;                       // forward's and backward's

  // Backward: gradients of the residual stream and of intermediate values, of all layers' K and V.
  float *dh, *dx, *dwide, *dwide_2, *dper_layer, *dexperts;
  std::vector<float*> dk, dv;  // per layer; owning layers only
  float* dkv;                  // where all dk and dv lie, dkv_size floats: to be zeroed at once
  size_t dkv_size;

 private:
  class Carver;
  Activations(int64_t n_rows_, int64_t length_, bool keep_) : n_rows(n_rows_), length(length_), keep(keep_) {}
  void carve(Carver& carver, const Config& config);
  void carve_layer(Carver& carver, const Config& config, int layer);
  void carve_experts(Carver& carver, const Config& config, LayerActivations& a);
  void carve_backward(Carver& carver, const Config& config);
  AlignedArray<float> memory_;
};

}  // namespace carat::train
