// The network a second time: slow, in double precision, one position after the other, straight from the
// specification (reference sheet 2). It shares no code with model/forward.cpp but the codecs.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <vector>

#include "model/model.h"
#include "quant/codec.h"

namespace carat {

class ReferenceNetwork {
 public:
  using Vector = std::vector<double>;

  explicit ReferenceNetwork(const Model& model) : model_(model), config_(model.config), w_(model.weights) {
    keys_.resize(config_.layers.size());
    values_.resize(config_.layers.size());
  }

  // Logits of the next token after each of `tokens`, which start a sequence.
  std::vector<Vector> logits(std::span<const Token> tokens) {
    std::vector<Vector> rows;
    for (auto& layer : keys_) layer.clear();
    for (auto& layer : values_) layer.clear();
    for (size_t position = 0; position < tokens.size(); ++position)
      rows.push_back(step(tokens[position], position));
    return rows;
  }

  // What logits() has cached of each layer that owns keys: [position][n_kv_heads * head_dim], normed and
  // rotated.
  const std::vector<Vector>& keys(size_t layer) const { return keys_[layer]; }
  const std::vector<Vector>& values(size_t layer) const { return values_[layer]; }
  // The last position's state after the last norm.
  const Vector& hidden() const { return hidden_; }

 private:
  Vector step(Token token, size_t position) {
    Vector h = row(w_.token_embedding, token);
    for (double& v : h) v *= std::sqrt(static_cast<double>(config_.dim));
    const std::vector<Vector> inputs =
        config_.per_layer_dim > 0 ? per_layer_inputs(token, h) : std::vector<Vector>();
    for (size_t l = 0; l < config_.layers.size(); ++l) {
      const LayerWeights& w = w_.layers[l];
      add(h, rms(attention(l, rms(h, w.attn_norm), position), w.post_attention_norm));
      add(h, config_.n_experts > 0 ? mixture(l, h) : rms(dense(l, h), w.post_ffw_norm));
      if (config_.per_layer_dim > 0) {
        Vector g = product(w.per_layer_gate, h);
        for (size_t i = 0; i < g.size(); ++i) g[i] = gelu(g[i]) * inputs[l][i];
        add(h, rms(product(w.per_layer_proj, g), w.per_layer_post_norm));
      }
      if (w.output_scale)
        for (double& v : h) v *= static_cast<double>(w.output_scale.f32()[0]);
    }
    hidden_ = rms(h, w_.output_norm);
    Vector logits = product(w_.output, hidden_);
    const double cap = static_cast<double>(config_.logit_soft_cap);
    for (double& v : logits) v = cap > 0 ? cap * std::tanh(v / cap) : v;
    for (const Token t : config_.suppressed_tokens) logits[static_cast<size_t>(t)] = -INFINITY;
    return logits;
  }

  std::vector<Vector> per_layer_inputs(Token token, const Vector& h) {
    const size_t d = static_cast<size_t>(config_.per_layer_dim);
    const Vector a = row(w_.per_layer_embedding, token), b = product(w_.per_layer_model_proj, h);
    std::vector<Vector> inputs;
    for (size_t l = 0; l < config_.layers.size(); ++l) {
      Vector slice(b.begin() + static_cast<ptrdiff_t>(l * d),
                   b.begin() + static_cast<ptrdiff_t>((l + 1) * d));
      for (double& v : slice) v /= std::sqrt(static_cast<double>(config_.dim));
      slice = rms(slice, w_.per_layer_proj_norm);
      for (size_t i = 0; i < d; ++i)
        slice[i] = (slice[i] + a[l * d + i] * std::sqrt(static_cast<double>(d))) / std::sqrt(2.0);
      inputs.push_back(slice);
    }
    return inputs;
  }

  Vector attention(size_t l, const Vector& x, size_t position) {
    const LayerConfig& layer = config_.layers[l];
    const LayerWeights& w = w_.layers[l];
    const Vector q = heads(product(w.q, x), layer, &w.q_norm, position);
    const size_t source = static_cast<size_t>(layer.kv_source);
    if (source == l) {
      const Vector k = product(w.k, x), v = layer.k_is_v ? k : product(w.v, x);
      keys_[l].push_back(heads(k, layer, &w.k_norm, position));
      values_[l].push_back(heads(v, layer, nullptr, 0));
    }
    const size_t dim = static_cast<size_t>(layer.head_dim),
                 group = static_cast<size_t>(layer.n_heads / layer.n_kv_heads);
    const size_t window = layer.sliding ? static_cast<size_t>(layer.window) : position + 1;
    const size_t first = position + 1 > window ? position + 1 - window : 0;
    Vector out(q.size(), 0.0);
    for (size_t head = 0; head < static_cast<size_t>(layer.n_heads); ++head) {
      const size_t kv = head / group * dim;
      Vector p;
      for (size_t j = first; j <= position; ++j)
        p.push_back(std::inner_product(&q[head * dim], &q[head * dim] + dim, &keys_[source][j][kv], 0.0));
      softmax(p);
      for (size_t j = first; j <= position; ++j)
        for (size_t i = 0; i < dim; ++i) out[head * dim + i] += p[j - first] * values_[source][j][kv + i];
    }
    return product(w.o, out);
  }

  // Per head: norm (weightless if nullptr), and rotation if there is a weight: V is neither weighted nor
  // rotated.
  Vector heads(const Vector& x, const LayerConfig& layer, const Tensor* weight, size_t position) const {
    const size_t dim = static_cast<size_t>(layer.head_dim);
    Vector out;
    for (size_t begin = 0; begin < x.size(); begin += dim) {
      Vector head(x.begin() + static_cast<ptrdiff_t>(begin), x.begin() + static_cast<ptrdiff_t>(begin + dim));
      head = rms(head, weight == nullptr ? Tensor() : *weight);
      if (weight != nullptr) rotate(head, layer, static_cast<double>(position));
      out.insert(out.end(), head.begin(), head.end());
    }
    return out;
  }

  void rotate(Vector& head, const LayerConfig& layer, double position) const {
    const size_t half = head.size() / 2;
    for (size_t i = 0; i < half; ++i) {
      if (!layer.sliding && i >= half / 4) break;  // the files' divisors of 1e30 say the same
      const double angle = position * std::pow(layer.rope_theta, -2.0 * static_cast<double>(i) /
                                                                     static_cast<double>(head.size()));
      const double a = head[i], b = head[i + half];
      head[i] = a * std::cos(angle) - b * std::sin(angle);
      head[i + half] = b * std::cos(angle) + a * std::sin(angle);
    }
  }

  Vector dense(size_t l, const Vector& h) const {
    const LayerWeights& w = w_.layers[l];
    const Vector x = rms(h, w.ffn_norm), up = product(w.up, x);
    Vector gate = product(w.gate, x);
    for (size_t i = 0; i < gate.size(); ++i) gate[i] = gelu(gate[i]) * up[i];
    return product(w.down, gate);
  }

  Vector mixture(size_t l, const Vector& h) const {
    const LayerWeights& w = w_.layers[l];
    Vector t = rms(h, Tensor());
    for (size_t i = 0; i < t.size(); ++i)
      t[i] *= static_cast<double>(w.router_scale.f32()[i]) / std::sqrt(static_cast<double>(config_.dim));
    Vector g = product(w.router, t);
    softmax(g);
    std::vector<size_t> order(g.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return g[a] > g[b]; });
    order.resize(static_cast<size_t>(config_.n_experts_used));
    double total = 0;
    for (const size_t e : order) total += g[e];
    const Vector x = rms(h, w.pre_ffw_norm_2);
    Vector sum(h.size(), 0.0);
    for (const size_t e : order) {
      const Vector y = expert(w, static_cast<int64_t>(e), x);
      const double weight = g[e] / total * static_cast<double>(w.expert_down_scale.f32()[e]);
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += weight * y[i];
    }
    Vector both = rms(dense(l, h), w.post_ffw_norm_1);
    add(both, rms(sum, w.post_ffw_norm_2));
    return rms(both, w.post_ffw_norm);
  }

  Vector expert(const LayerWeights& w, int64_t e, const Vector& x) const {
    const size_t n = static_cast<size_t>(config_.n_expert_ff);
    const Vector both = product(w.expert_gate_up.slice(e), x);
    Vector hidden(n);
    for (size_t i = 0; i < n; ++i) hidden[i] = gelu(both[i]) * both[n + i];
    return product(w.expert_down.slice(e), hidden);
  }

  static double gelu(double x) {
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  }
  static void add(Vector& to, const Vector& what) {
    for (size_t i = 0; i < to.size(); ++i) to[i] += what[i];
  }
  static void softmax(Vector& x) {
    const double peak = *std::max_element(x.begin(), x.end());
    double sum = 0;
    for (double& v : x) sum += v = std::exp(v - peak);
    for (double& v : x) v /= sum;
  }
  Vector rms(const Vector& x, const Tensor& weight) const {
    double sum = 0;
    for (const double v : x) sum += v * v;
    const double scale =
        1 / std::sqrt(sum / static_cast<double>(x.size()) + static_cast<double>(config_.norm_eps));
    Vector out(x);
    for (size_t i = 0; i < x.size(); ++i)
      out[i] *= scale * (weight ? static_cast<double>(weight.f32()[i]) : 1.0);
    return out;
  }

  // y[o] = sum_i w[i, o] x[i]
  Vector product(const Tensor& weight, const Vector& x) const {
    const std::vector<float>& values = decoded(weight);
    Vector y(static_cast<size_t>(weight.n_rows()), 0.0);
    for (size_t o = 0; o < y.size(); ++o)
      for (size_t i = 0; i < x.size(); ++i) y[o] += static_cast<double>(values[o * x.size() + i]) * x[i];
    return y;
  }

  Vector row(const Tensor& table, Token token) const {
    const std::vector<float>& values = decoded(table);
    const auto begin = values.begin() + token * table.n_columns();
    return Vector(begin, begin + table.n_columns());
  }

  const std::vector<float>& decoded(const Tensor& tensor) const {
    std::vector<float>& values = decoded_[tensor.data];
    if (values.empty()) {
      values.resize(static_cast<size_t>(tensor.n_elements()));
      ThreadPool pool(1);
      decode_tensor(tensor, values.data(), pool);
    }
    return values;
  }

  const Model& model_;
  const Config& config_;
  const Weights& w_;
  std::vector<std::vector<Vector>> keys_, values_;  // [layer][position]
  Vector hidden_;
  mutable std::map<const std::byte*, std::vector<float>> decoded_;
};

}  // namespace carat
