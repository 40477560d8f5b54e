// Weights: the tensors of a model, found by name, their shapes checked against the Config before any kernel
// sees them. Views into the mapped file: nothing is copied but norms and scales that are not F32.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/reader.h"
#include "model/architecture.h"
#include "model/config.h"
#include "tensor/tensor.h"

namespace carat {

// Absent tensors have no data. Norms and scales are F32. A matrix may have a scale of its own
// (Tensor::scale).
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

  Tensor router, router_scale;    // [dim, n_experts], [dim]   blk.N.ffn_gate_inp
  Tensor expert_gate_up;          // [dim, 2 n_expert_ff, n_experts], or …
  Tensor expert_gate, expert_up;  // … [dim, n_expert_ff, n_experts] each
  Tensor expert_down;             // [n_expert_ff, dim, n_experts]
  Tensor expert_down_scale;       // [n_experts], the network's own and, in NVFP4 files, the matrices' in one
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
  std::shared_ptr<const void> converted;  // norms and scales that the file does not have in F32
};

// The tensors that a layer has, in the order of the struct's kinds.
std::vector<const Tensor*> tensors_of(const LayerWeights& layer);

// A tensor beyond tensor_slots(config), for networks that have more around the layers.
struct ExtraTensor {
  TensorSlot slot;
  Tensor* place;  // nullptr: the tensor is known, and left alone
};

// Errors name the missing or misshapen tensor, what was expected and what was found; also a type without a
// codec, and a tensor that nothing here uses: without it the network would be another. Known and left alone:
// keys and values of layers that share another's, `.input_scale`s, and divisors where no layer asks for them.
Result<Weights> find_weights(const gguf::File& file, const Config& config,
                             std::span<const ExtraTensor> extras = {});

// What the matrix or stack of matrices `weight` of this file is multiplied by: the tensor named like it, with
// ".scale" for ".weight". nullptr: none. The two such names that are the network's own tensors (ffn_gate_inp,
// ffn_down_exps) are not meant.
const Tensor* find_scale(const gguf::File& file, std::string_view weight);

}  // namespace carat
