// Weights: the tensors of a model, found by name, their shapes checked against the Config before any kernel
// sees them. Views into the mapped file: nothing is copied.
#pragma once

#include <vector>

#include "base/result.h"
#include "gguf/reader.h"
#include "model/config.h"
#include "tensor/tensor.h"

namespace carat {

// Absent tensors have no data. Norms and scales are F32.
struct LayerWeights {
  Tensor attn_norm;            // [dim]
  Tensor q, k, v, o;           // [dim, q_size], [dim, kv_size] x2 (owning layers), [q_size, dim]
  Tensor q_norm, k_norm;       // [head_dim]
  Tensor post_attention_norm;  // [dim]
  Tensor ffn_norm;             // [dim]
  Tensor gate, up, down;       // [dim, n_ff] x2, [n_ff, dim]
  Tensor post_ffw_norm;        // [dim]
  Tensor output_scale;         // [1], optional

  Tensor per_layer_gate;       // [dim, per_layer_dim]      blk.N.inp_gate
  Tensor per_layer_proj;       // [per_layer_dim, dim]      blk.N.proj
  Tensor per_layer_post_norm;  // [dim]                     blk.N.post_norm

  Tensor router, router_scale;                              // [dim, n_experts], [dim]   blk.N.ffn_gate_inp
  Tensor expert_gate_up;                                    // [dim, 2 n_expert_ff, n_experts], or …
  Tensor expert_gate, expert_up;                            // … [dim, n_expert_ff, n_experts] each
  Tensor expert_down;                                       // [n_expert_ff, dim, n_experts]
  Tensor expert_down_scale;                                 // [n_experts]
  Tensor pre_ffw_norm_2, post_ffw_norm_1, post_ffw_norm_2;  // [dim]
};

struct Weights {
  Tensor token_embedding;       // [dim, n_vocab]
  Tensor output;                // [dim, n_vocab]; the token embedding if the file has none
  Tensor output_norm;           // [dim]
  Tensor rope_divisors;         // [head_dim/2 of F layers], optional; divides the F layers' angles
  Tensor per_layer_embedding;   // [per_layer_dim * n_layers, n_vocab]
  Tensor per_layer_model_proj;  // [dim, per_layer_dim * n_layers]
  Tensor per_layer_proj_norm;   // [per_layer_dim]
  std::vector<LayerWeights> layers;
};

// Errors name the missing or misshapen tensor, what was expected and what was found; also a type without a
// codec.
Result<Weights> find_weights(const gguf::File& file, const Config& config);

}  // namespace carat
