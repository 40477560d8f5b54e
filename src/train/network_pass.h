// What the forward and the backward pass of a network share: where tensors, shapes and ropes of a layer are
// found.
#pragma once

#include <cmath>

#include "base/check.h"
#include "train/network.h"
#include "train/vector_loops.h"

namespace carat::train {

struct Network::Pass {
  Pass(const Network& network_, const float* weights_, const TokenRows& rows_, Activations& activations_)
      : network(network_),
        config(network_.config_),
        loops(vector_loops()),
        rows(rows_),
        activations(activations_),
        n(rows_.n_rows * rows_.length),
        dim(network_.config_.dim),
        eps(network_.config_.norm_eps),
        weights(weights_) {
    CHECK(rows.length >= 1 && rows.length <= network.max_length_);
    CHECK(static_cast<int64_t>(rows.tokens.size()) == n);
    CHECK(rows.n_rows <= activations.n_rows && rows.length == activations.length);
  }

  const float* w(Slot slot) const { return slot == kAbsent ? nullptr : weights + slot; }
  const LayerConfig& layer(int i) const { return config.layers[static_cast<size_t>(i)]; }
  const LayerSlots& slots(int i) const { return network.slots_[static_cast<size_t>(i)]; }
  LayerActivations& at(int i) const { return activations.layers[static_cast<size_t>(i)]; }
  const RopeTable& rope(int i) const {
    return network.ropes_[static_cast<size_t>(network.rope_of_[static_cast<size_t>(i)])];
  }
  float embedding_scale() const { return std::sqrt(static_cast<float>(dim)); }
  int64_t per_layer_width() const { return config.per_layer_dim * config.n_layers(); }

  HeadShape q_heads(int i) const { return {n, rows.length, layer(i).n_heads, layer(i).head_dim}; }
  HeadShape kv_heads(int i) const { return {n, rows.length, layer(i).n_kv_heads, layer(i).head_dim}; }
  AttentionRows attention_rows(int i) const {
    const LayerConfig& l = layer(i);
    return {rows.n_rows, rows.length, l.n_heads, l.n_kv_heads, l.head_dim, l.window};
  }
  FfnShape ffn_shape(int i) const { return {n, dim, layer(i).n_ff}; }
  FfnWeights ffn_weights(int i) const { return {w(slots(i).gate), w(slots(i).up), w(slots(i).down)}; }
  MoeShape moe_shape() const {
    return {n, dim, config.n_experts, config.n_experts_used, config.n_expert_ff, eps};
  }
  MoeWeights moe_weights(int i) const {
    const LayerSlots& s = slots(i);
    return {w(s.router), w(s.router_scale), w(s.gate_up), w(s.expert_down), w(s.expert_scale)};
  }
  PerLayerShape per_layer_shape() const { return {dim, config.per_layer_dim, config.n_layers(), eps}; }
  PerLayerWeights per_layer_weights() const {
    return {w(network.per_layer_embedding_), w(network.per_layer_model_proj_),
            w(network.per_layer_proj_norm_)};
  }

  const Network& network;
  const Config& config;
  const VectorLoops& loops;
  const TokenRows& rows;
  Activations& activations;
  const int64_t n, dim;  // tokens; hidden size
  const float eps;
  const float* weights;
};

}  // namespace carat::train
