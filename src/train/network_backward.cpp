// The backward pass of the training network: each function undoes its namesake of network.cpp. The gradient
// of the residual stream lives in activations.dh from end to end.
#include <algorithm>

#include "train/network_pass.h"
#include "train/ops_linear.h"

namespace carat::train {

struct Network::BackwardPass : Pass {
  BackwardPass(const Network& network_, const float* weights_, const TokenRows& rows_,
               Activations& activations_, float* gradients_)
      : Pass(network_, weights_, rows_, activations_),
        gradients(gradients_),
        dh(activations_.dh),
        dx(activations_.dx) {
    CHECK(activations.keep);
  }

  float* g(Slot slot) const { return slot == kAbsent ? nullptr : gradients + slot; }

  void run() {
    begin();
    loops.rms_norm_backward(activations.h_out, w(network.output_norm_), activations.inverse_out, dh, n, dim,
                            false, dh, g(network.output_norm_));
    for (int i = config.n_layers() - 1; i >= 0; --i) run_layer(i);
    if (config.per_layer_dim > 0)
      per_layer_inputs_backward(per_layer_shape(), per_layer_weights(), rows.tokens, at(0).h,
                                activations.per_layer_projected, activations.inverse_projected,
                                activations.dper_layer, dh,
                                {g(network.per_layer_embedding_), g(network.per_layer_model_proj_),
                                 g(network.per_layer_proj_norm_)});
    embed_backward(rows.tokens, dh, dim, embedding_scale(), g(network.token_embedding_));
  }

  void begin() { std::fill_n(activations.dkv, activations.dkv_size, 0.0f); }

  void run_layer(int i) {
    scale(i);
    if (config.per_layer_dim > 0) inject(i);
    feed_forward(i);
    attend(i);
  }

  void scale(int i) {
    const Slot slot = slots(i).output_scale;
    if (slot == kAbsent) return;
    *g(slot) += loops.dot(dh, at(i).h_per_layer, n * dim);
    loops.scale(dh, *w(slot), n * dim, dh);
  }

  // A branch's norm, from dh: dx = gradient of the branch's output.
  void branch_norm(const float* x, Slot weight, const float* inverse) {
    loops.rms_norm_backward(x, w(weight), inverse, dh, n, dim, false, dx, g(weight));
  }
  // A branch's input norm: adds to dh from dx.
  void input_norm(const float* x, Slot weight, const float* inverse, const float* gradient) {
    loops.rms_norm_backward(x, w(weight), inverse, gradient, n, dim, true, dh, g(weight));
  }

  void inject(int i) {
    const LayerSlots& s = slots(i);
    LayerActivations& a = at(i);
    const int64_t width = config.per_layer_dim;
    float* dgate = activations.dwide;
    branch_norm(a.per_layer_out, s.per_layer_post_norm, a.inverse_per_layer);
    linear_backward(a.per_layer_hidden, w(s.per_layer_proj), dx, n, width, dim, false, dgate,
                    g(s.per_layer_proj));
    loops.geglu_backward(a.per_layer_gate, activations.per_layer + i * width, per_layer_width(), dgate, n,
                         width, dgate, activations.dper_layer + i * width);
    linear_backward(a.h_ffn, w(s.per_layer_gate), dgate, n, dim, width, true, dh, g(s.per_layer_gate));
  }

  void feed_forward(int i) {
    const LayerSlots& s = slots(i);
    LayerActivations& a = at(i);
    if (config.n_experts > 0) {
      branch_norm(a.branches, s.post_ffw_norm, a.inverse_branches);
      mix_experts(i);
    } else {
      branch_norm(a.down, s.post_ffw_norm, a.inverse_down);
    }
    const FfnGradients ffn_gradients{g(s.gate), g(s.up), g(s.down)};
    float* dx_ffn = activations.dwide;
    ffn_backward(ffn_shape(i), ffn_weights(i), a.x_ffn, a.ffn, dx, ffn_gradients, dx_ffn,
                 activations.scratch);
    input_norm(a.h_attention, s.ffn_norm, a.inverse_ffn, dx_ffn);
  }

  // From dx, the gradient of both branches' sum, to dh (through router and experts) and dx (the dense
  // branch's).
  void mix_experts(int i) {
    const LayerSlots& s = slots(i);
    LayerActivations& a = at(i);
    const MoeGradients moe_gradients{g(s.router), g(s.router_scale), g(s.gate_up), g(s.expert_down),
                                     g(s.expert_scale)};
    float* dexperts = activations.dexperts;
    float* dinput = activations.dwide;
    loops.rms_norm_backward(a.experts, w(s.post_ffw_norm_2), a.inverse_experts, dx, n, dim, false, dexperts,
                            g(s.post_ffw_norm_2));
    moe_backward(moe_shape(), moe_weights(i), a.h_attention, a.moe, dexperts, moe_gradients, dh, dinput,
                 activations.scratch);
    input_norm(a.h_attention, s.pre_ffw_norm_2, a.inverse_x_experts, dinput);
    loops.rms_norm_backward(a.down, w(s.post_ffw_norm_1), a.inverse_down, dx, n, dim, false, dx,
                            g(s.post_ffw_norm_1));
  }

  void attend(int i) {
    const LayerSlots& s = slots(i);
    const LayerConfig& l = layer(i);
    LayerActivations& a = at(i);
    const auto source = static_cast<size_t>(l.kv_source);
    float* dattended = activations.dwide;
    float* dq = activations.dwide_2;
    branch_norm(a.o, s.post_attention_norm, a.inverse_o);
    linear_backward(a.attended, w(s.o), dx, n, l.q_size(), dim, false, dattended, g(s.o));
    attention_backward(attention_rows(i), a.q, at(l.kv_source).k, at(l.kv_source).v, a.attended, a.log_sum,
                       dattended, dq, activations.dk[source], activations.dv[source], activations.scratch);
    head_norm_backward(a.q_raw, w(s.q_norm), &rope(i), a.inverse_q, q_heads(i), false, dq, dattended,
                       g(s.q_norm));
    linear_backward(a.x_attention, w(s.q), dattended, n, dim, l.q_size(), false, dx, g(s.q));
    if (config.owns_kv(i)) project_kv(i);
    input_norm(a.h, s.attn_norm, a.inverse_attention, dx);
  }

  // All layers that read this layer's K and V come later, so their gradients are complete here. dx +=.
  void project_kv(int i) {
    const LayerSlots& s = slots(i);
    const LayerConfig& l = layer(i);
    LayerActivations& a = at(i);
    float* dk_raw = activations.dwide;
    float* dv_raw = l.k_is_v ? dk_raw : activations.dwide_2;
    const auto own = static_cast<size_t>(i);
    head_norm_backward(a.k_raw, w(s.k_norm), &rope(i), a.inverse_k, kv_heads(i), false, activations.dk[own],
                       dk_raw, g(s.k_norm));
    head_norm_backward(a.v_raw, nullptr, nullptr, a.inverse_v, kv_heads(i), l.k_is_v, activations.dv[own],
                       dv_raw, nullptr);
    linear_backward(a.x_attention, w(s.k), dk_raw, n, dim, l.kv_size(), true, dx, g(s.k));
    if (!l.k_is_v) linear_backward(a.x_attention, w(s.v), dv_raw, n, dim, l.kv_size(), true, dx, g(s.v));
  }

  float* gradients;
  float *dh, *dx;
};

void Network::backward(const float* weights, const TokenRows& rows, Activations& activations,
                       float* gradients) const {
  BackwardPass(*this, weights, rows, activations, gradients).run();
}

void Network::backward_layer(const float* weights, const TokenRows& rows, int layer, Activations& activations,
                             float* gradients) const {
  BackwardPass pass(*this, weights, rows, activations, gradients);
  pass.begin();
  pass.run_layer(layer);
}

}  // namespace carat::train
