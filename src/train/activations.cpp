// Lays out the activations: the same carving runs twice, first to count and then with the memory.
#include "train/activations.h"

#include <algorithm>

#include "base/check.h"

namespace carat::train {

// Hands out pieces of a block; without a block it only counts.
class Activations::Carver {
 public:
  explicit Carver(float* base) : base_(base) {}

  float* floats(int64_t count) {
    CHECK(count >= 0);
    const size_t at = used_;
    used_ += (static_cast<size_t>(count) + 15) / 16 * 16;
    most_ = std::max(most_, used_);
    return base_ == nullptr ? nullptr : base_ + at;
  }
  int32_t* integers(int64_t count) { return reinterpret_cast<int32_t*>(floats(count)); }

  size_t mark() const { return used_; }
  void reset(size_t mark) { used_ = mark; }
  void skip_to_most() { used_ = most_; }
  size_t most() const { return most_; }

 private:
  float* base_;
  size_t used_ = 0, most_ = 0;
};

int64_t Activations::n_floats(const Config& config, int64_t n_rows_, int64_t length_, bool keep_) {
  Carver counter(nullptr);
  Activations(n_rows_, length_, keep_).carve(counter, config);
  return static_cast<int64_t>(counter.most());
}

Activations::Activations(const Config& config, int64_t n_rows_, int64_t length_, bool keep_)
    : Activations(n_rows_, length_, keep_) {
  memory_ = AlignedArray<float>(static_cast<size_t>(n_floats(config, n_rows, length, keep)));
  Carver carver(memory_.data());
  carve(carver, config);
}

void Activations::carve(Carver& carver, const Config& config) {
  const int64_t n = n_rows * length, per_layer_width = config.per_layer_dim * config.n_layers();
  layers.assign(static_cast<size_t>(config.n_layers()), LayerActivations{});
  per_layer_projected = carver.floats(n * per_layer_width);
  inverse_projected = carver.floats(n * config.n_layers());
  per_layer = carver.floats(n * per_layer_width);
  hidden = carver.floats(n * config.dim);
  inverse_out = carver.floats(n);
  h_out = carver.floats(n * config.dim);

  int64_t scratch_size = 0, n_widest = 0;
  for (int i = 0; i < config.n_layers(); ++i) {
    const LayerConfig& layer = config.layers[static_cast<size_t>(i)];
    LayerActivations& a = layers[static_cast<size_t>(i)];
    a.h = keep || i == 0 ? carver.floats(n * config.dim) : layers[0].h;
    if (config.owns_kv(i)) {
      a.k = carver.floats(n * layer.kv_size());
      a.v = carver.floats(n * layer.kv_size());
    }
    const AttentionRows rows{n_rows, length, layer.n_heads, layer.n_kv_heads, layer.head_dim, layer.window};
    n_widest =
        std::max({n_widest, layer.n_ff, config.per_layer_dim, layer.q_size(), layer.kv_size(), config.dim});
    scratch_size = std::max(scratch_size, static_cast<int64_t>(attention_scratch(rows)));
  }
  if (config.n_experts > 0)
    scratch_size =
        std::max(scratch_size,
                 static_cast<int64_t>(moe_scratch({n, config.dim, config.n_experts, config.n_experts_used,
                                                   config.n_expert_ff, config.norm_eps})));
  scratch = carver.floats(std::max(scratch_size, 2 * n * n_widest));
  const size_t mark = carver.mark();
  for (int i = 0; i < config.n_layers(); ++i) {
    if (!keep) carver.reset(mark);
    carve_layer(carver, config, i);
  }
  carver.skip_to_most();
  dwide = carver.floats(keep ? n * n_widest : 0);
  dwide_2 = carver.floats(keep ? n * n_widest : 0);
  if (keep) carve_backward(carver, config);
}

void Activations::carve_layer(Carver& carver, const Config& config, int index) {
  const LayerConfig& layer = config.layers[static_cast<size_t>(index)];
  LayerActivations& a = layers[static_cast<size_t>(index)];
  const int64_t n = n_rows * length, dim = config.dim;
  const auto rows_and_inverse = [&](float*& rows, float*& inverse) {
    rows = carver.floats(n * dim);
    inverse = carver.floats(n);
  };
  rows_and_inverse(a.x_attention, a.inverse_attention);
  a.q_raw = carver.floats(n * layer.q_size());
  a.q = carver.floats(n * layer.q_size());
  a.inverse_q = carver.floats(n * layer.n_heads);
  if (config.owns_kv(index)) {
    a.k_raw = carver.floats(n * layer.kv_size());
    a.v_raw = layer.k_is_v ? a.k_raw : carver.floats(n * layer.kv_size());
    a.inverse_k = carver.floats(n * layer.n_kv_heads);
    a.inverse_v = carver.floats(n * layer.n_kv_heads);
  }
  a.attended = carver.floats(n * layer.q_size());
  a.log_sum = carver.floats(n * layer.n_heads);
  rows_and_inverse(a.o, a.inverse_o);
  a.h_attention = carver.floats(n * dim);
  rows_and_inverse(a.x_ffn, a.inverse_ffn);
  a.ffn = {carver.floats(n * layer.n_ff), carver.floats(n * layer.n_ff), carver.floats(n * layer.n_ff)};
  rows_and_inverse(a.down, a.inverse_down);
  if (config.n_experts > 0) carve_experts(carver, config, a);
  a.h_ffn = a.h_per_layer = carver.floats(n * dim);
  if (config.per_layer_dim == 0) return;
  a.per_layer_gate = carver.floats(n * config.per_layer_dim);
  a.per_layer_hidden = carver.floats(n * config.per_layer_dim);
  rows_and_inverse(a.per_layer_out, a.inverse_per_layer);
  a.h_per_layer = carver.floats(n * dim);
}

void Activations::carve_experts(Carver& carver, const Config& config, LayerActivations& a) {
  const int64_t n = n_rows * length, dim = config.dim, n_places = n * config.n_experts_used;
  for (float** rows : {&a.x_experts, &a.experts, &a.branches, &a.moe.routed}) *rows = carver.floats(n * dim);
  for (float** inverse : {&a.inverse_x_experts, &a.inverse_experts, &a.inverse_branches, &a.moe.inverse})
    *inverse = carver.floats(n);
  a.moe.gates = carver.floats(n_places);
  a.moe.experts = carver.integers(n_places);
  a.moe.place = carver.integers(n_places);
  a.moe.start = carver.integers(config.n_experts + 1);
  a.moe.x = carver.floats(n_places * dim);
  a.moe.y = carver.floats(n_places * dim);
  for (float** kept : {&a.moe.ffn.gate, &a.moe.ffn.up, &a.moe.ffn.hidden})
    *kept = carver.floats(n_places * config.n_expert_ff);
}

void Activations::carve_backward(Carver& carver, const Config& config) {
  const int64_t n = n_rows * length;
  dh = carver.floats(n * config.dim);
  dx = carver.floats(n * config.dim);
  dexperts = carver.floats(config.n_experts > 0 ? n * config.dim : 0);
  dper_layer = carver.floats(n * config.per_layer_dim * config.n_layers());
  dk.assign(static_cast<size_t>(config.n_layers()), nullptr);
  dv = dk;
  const size_t begin = carver.mark();
  dkv = carver.floats(0);
  for (int i = 0; i < config.n_layers(); ++i) {
    if (!config.owns_kv(i)) continue;
    const int64_t kv_size = config.layers[static_cast<size_t>(i)].kv_size();
    dk[static_cast<size_t>(i)] = carver.floats(n * kv_size);
    dv[static_cast<size_t>(i)] = carver.floats(n * kv_size);
  }
  dkv_size = carver.mark() - begin;
}

}  // namespace carat::train
