// Network: the Gemma 4 network for training, f32, forward with activations kept and backward. A second
// writing of model/forward, over whole rows instead of a cache; tests/train/network_test.cpp holds the two
// equal.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "train/activations.h"
#include "train/ops_embedding.h"
#include "train/ops_loss.h"
#include "train/ops_norm.h"
#include "train/parameters.h"

namespace carat::train {

// Rows of equal length, each at positions 0 … length-1.
struct TokenRows {
  int64_t n_rows, length;
  std::span<const Token> tokens;  // [n_rows * length]
};

class Network {
 public:
  // Rows of up to max_length tokens. Arenas passed below have the layout of `parameters`.
  Network(const Parameters& parameters, int64_t max_length);

  const Config& config() const { return config_; }
  size_t arena_size() const { return arena_size_; }  // floats

  // Leaves the hidden states after the final norm in activations.hidden, [n, dim].
  void forward(const float* weights, const TokenRows& rows, Activations& activations) const;

  // From activations.dh, which holds the gradient of the final hidden states, adds to `gradients`.
  void backward(const float* weights, const TokenRows& rows, Activations& activations,
                float* gradients) const;

  // One layer alone: from activations.layers[layer].h, and from k and v of the layer that it reads if it has none of its
  // own, to activations.h_out. Its per-layer inputs stand in activations.per_layer.
  void forward_layer(const float* weights, const TokenRows& rows, int layer, Activations& activations) const;
  // From activations.dh, the gradient of h_out, adds to `gradients`, and leaves the gradient of the layer's input in dh.
  void backward_layer(const float* weights, const TokenRows& rows, int layer, Activations& activations,
                      float* gradients) const;

  // The head over the hidden states of a forward pass.
  Head head(const float* weights, const Activations& activations) const;
  float* head_table(float* arena) const { return arena + head_; }

 private:
  using Slot = size_t;  // a tensor's offset in the arena
  static constexpr Slot kAbsent = SIZE_MAX;

  struct LayerSlots {
    Slot attn_norm, q, k, v, o, q_norm, k_norm, post_attention_norm;
    Slot ffn_norm, gate, up, down, post_ffw_norm, output_scale;
    Slot per_layer_gate, per_layer_proj, per_layer_post_norm;
    Slot router, router_scale, gate_up, expert_down, expert_scale;
    Slot post_ffw_norm_1, pre_ffw_norm_2, post_ffw_norm_2;
  };
  struct Pass;  // one forward or backward call
  struct ForwardPass;
  struct BackwardPass;

  void find_slots(const Parameters& parameters);
  void make_ropes(const Parameters& parameters, int64_t max_length);

  Config config_;
  Slot token_embedding_, head_, output_norm_;
  Slot per_layer_embedding_, per_layer_model_proj_, per_layer_proj_norm_;
  std::vector<LayerSlots> slots_;
  std::vector<RopeTable> ropes_;
  std::vector<int> rope_of_;  // per layer
  int64_t max_length_;
  size_t arena_size_;
};

}  // namespace carat::train
