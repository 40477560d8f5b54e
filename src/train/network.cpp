// The training network: its tensors, and the forward pass. It reads like the network's description:
// attention, feed-forward or experts, per-layer inputs, layer scale.
#include "train/network.h"

#include <algorithm>

#include "train/network_pass.h"
#include "train/ops_linear.h"

namespace carat::train {

Network::Network(const Parameters& parameters, int64_t max_length)
    : config_(parameters.config), max_length_(max_length), arena_size_(parameters.values.size()) {
  for (const LayerConfig& layer : config_.layers) {
    CHECK(layer.n_kv_heads >= 1 && layer.n_heads % layer.n_kv_heads == 0);
    CHECK(layer.head_dim >= 2 && layer.head_dim % 2 == 0);
  }
  find_slots(parameters);
  make_ropes(parameters, max_length);
}

void Network::find_slots(const Parameters& parameters) {
  const auto find = [&](std::string_view name) {
    const Parameter* p = parameters.find(name);
    return p == nullptr ? kAbsent : p->offset;
  };
  token_embedding_ = find("token_embd.weight");
  head_ = find("output.weight");
  if (head_ == kAbsent) head_ = token_embedding_;
  output_norm_ = find("output_norm.weight");
  per_layer_embedding_ = find("per_layer_token_embd.weight");
  per_layer_model_proj_ = find("per_layer_model_proj.weight");
  per_layer_proj_norm_ = find("per_layer_proj_norm.weight");
  for (int i = 0; i < config_.n_layers(); ++i) {
    const auto in_layer = [&](const char* name) {
      return find(fmt::format("blk.{}.{}", parameters.first_layer + i, name));
    };
    LayerSlots s;
    s.attn_norm = in_layer("attn_norm.weight");
    s.q = in_layer("attn_q.weight");
    s.k = in_layer("attn_k.weight");
    s.v = in_layer("attn_v.weight");
    s.o = in_layer("attn_output.weight");
    s.q_norm = in_layer("attn_q_norm.weight");
    s.k_norm = in_layer("attn_k_norm.weight");
    s.post_attention_norm = in_layer("post_attention_norm.weight");
    s.ffn_norm = in_layer("ffn_norm.weight");
    s.gate = in_layer("ffn_gate.weight");
    s.up = in_layer("ffn_up.weight");
    s.down = in_layer("ffn_down.weight");
    s.post_ffw_norm = in_layer("post_ffw_norm.weight");
    s.output_scale = in_layer("layer_output_scale.weight");
    s.per_layer_gate = in_layer("inp_gate.weight");
    s.per_layer_proj = in_layer("proj.weight");
    s.per_layer_post_norm = in_layer("post_norm.weight");
    s.router = in_layer("ffn_gate_inp.weight");
    s.router_scale = in_layer("ffn_gate_inp.scale");
    s.gate_up = in_layer("ffn_gate_up_exps.weight");
    s.expert_down = in_layer("ffn_down_exps.weight");
    s.expert_scale = in_layer("ffn_down_exps.scale");
    s.post_ffw_norm_1 = in_layer("post_ffw_norm_1.weight");
    s.pre_ffw_norm_2 = in_layer("pre_ffw_norm_2.weight");
    s.post_ffw_norm_2 = in_layer("post_ffw_norm_2.weight");
    slots_.push_back(s);
  }
}

// One table per kind of layer (theta, head dim, divided or not).
void Network::make_ropes(const Parameters& parameters, int64_t max_length) {
  const Parameter* divisors = parameters.find("rope_freqs.weight");
  std::vector<int> owner;  // layer for which each table was made
  for (int i = 0; i < config_.n_layers(); ++i) {
    const LayerConfig& layer = config_.layers[static_cast<size_t>(i)];
    const auto same = std::find_if(owner.begin(), owner.end(), [&](int j) {
      const LayerConfig& other = config_.layers[static_cast<size_t>(j)];
      return other.sliding == layer.sliding && other.head_dim == layer.head_dim &&
             other.rope_theta == layer.rope_theta;
    });
    rope_of_.push_back(static_cast<int>(same - owner.begin()));
    if (same != owner.end()) continue;
    const bool divided = divisors != nullptr && !layer.sliding;
    CHECK(!divided || divisors->size == layer.head_dim / 2);
    ropes_.emplace_back(layer.rope_theta, layer.head_dim, max_length,
                        divided ? parameters.of(*divisors).data() : nullptr);
    owner.push_back(i);
  }
}

Head Network::head(const float* weights, const Activations& activations) const {
  return {activations.hidden, weights + head_,        config_.dim,
          config_.n_vocab,    config_.logit_soft_cap, config_.suppressed_tokens};
}

struct Network::ForwardPass : Pass {
  using Pass::Pass;

  void run() {
    embed(rows.tokens, w(network.token_embedding_), dim, embedding_scale(), at(0).h);
    if (config.per_layer_dim > 0)
      per_layer_inputs(per_layer_shape(), per_layer_weights(), rows.tokens, at(0).h,
                       activations.per_layer_projected, activations.inverse_projected, activations.per_layer);
    for (int i = 0; i < config.n_layers(); ++i)
      run_layer(i, i + 1 < config.n_layers() ? at(i + 1).h : activations.h_out);
    loops.rms_norm(activations.h_out, w(network.output_norm_), n, dim, eps, activations.hidden,
                   activations.inverse_out);
  }

  void run_layer(int i, float* out) {
    attend(i);
    feed_forward(i);
    if (config.per_layer_dim > 0) inject(i);
    const float* scale = w(slots(i).output_scale);
    loops.scale(at(i).h_per_layer, scale == nullptr ? 1.0f : *scale, n * dim, out);
  }

  void attend(int i) {
    const LayerSlots& s = slots(i);
    const LayerConfig& l = layer(i);
    LayerActivations& a = at(i);
    loops.rms_norm(a.h, w(s.attn_norm), n, dim, eps, a.x_attention, a.inverse_attention);
    linear(a.x_attention, w(s.q), n, dim, l.q_size(), a.q_raw);
    head_norm(a.q_raw, w(s.q_norm), &rope(i), q_heads(i), eps, a.q, a.inverse_q);
    if (config.owns_kv(i)) {
      linear(a.x_attention, w(s.k), n, dim, l.kv_size(), a.k_raw);
      if (!l.k_is_v) linear(a.x_attention, w(s.v), n, dim, l.kv_size(), a.v_raw);
      head_norm(a.k_raw, w(s.k_norm), &rope(i), kv_heads(i), eps, a.k, a.inverse_k);
      head_norm(a.v_raw, nullptr, nullptr, kv_heads(i), eps, a.v, a.inverse_v);
    }
    const LayerActivations& source = at(l.kv_source);
    attention(attention_rows(i), a.q, source.k, source.v, a.attended, a.log_sum, activations.scratch);
    linear(a.attended, w(s.o), n, l.q_size(), dim, a.o);
    loops.add_rms_norm(a.o, w(s.post_attention_norm), n, dim, eps, a.h, a.h_attention, a.inverse_o);
  }

  void feed_forward(int i) {
    const LayerSlots& s = slots(i);
    LayerActivations& a = at(i);
    loops.rms_norm(a.h_attention, w(s.ffn_norm), n, dim, eps, a.x_ffn, a.inverse_ffn);
    ffn(ffn_shape(i), ffn_weights(i), a.x_ffn, a.ffn, a.down);
    const float* sum = a.down;
    float* inverse = a.inverse_down;
    if (config.n_experts > 0) {
      mix_experts(i);
      sum = a.branches;
      inverse = a.inverse_branches;
    }
    loops.add_rms_norm(sum, w(s.post_ffw_norm), n, dim, eps, a.h_attention, a.h_ffn, inverse);
  }

  // branches = RMS(dense branch) + RMS(experts)
  void mix_experts(int i) {
    const LayerSlots& s = slots(i);
    LayerActivations& a = at(i);
    loops.rms_norm(a.h_attention, w(s.pre_ffw_norm_2), n, dim, eps, a.x_experts, a.inverse_x_experts);
    moe(moe_shape(), moe_weights(i), a.h_attention, a.x_experts, a.moe, a.experts, activations.scratch);
    loops.rms_norm(a.down, w(s.post_ffw_norm_1), n, dim, eps, a.branches, a.inverse_down);
    loops.add_rms_norm(a.experts, w(s.post_ffw_norm_2), n, dim, eps, a.branches, a.branches,
                       a.inverse_experts);
  }

  // h += RMS(proj(gelu(gate h) * p[layer]))
  void inject(int i) {
    const LayerSlots& s = slots(i);
    LayerActivations& a = at(i);
    const int64_t width = config.per_layer_dim;
    linear(a.h_ffn, w(s.per_layer_gate), n, dim, width, a.per_layer_gate);
    loops.geglu(a.per_layer_gate, activations.per_layer + i * width, per_layer_width(), n, width,
                a.per_layer_hidden);
    linear(a.per_layer_hidden, w(s.per_layer_proj), n, width, dim, a.per_layer_out);
    loops.add_rms_norm(a.per_layer_out, w(s.per_layer_post_norm), n, dim, eps, a.h_ffn, a.h_per_layer,
                       a.inverse_per_layer);
  }
};

void Network::forward(const float* weights, const TokenRows& rows, Activations& activations) const {
  ForwardPass(*this, weights, rows, activations).run();
}

void Network::forward_layer(const float* weights, const TokenRows& rows, int layer,
                            Activations& activations) const {
  ForwardPass(*this, weights, rows, activations).run_layer(layer, activations.h_out);
}

}  // namespace carat::train
