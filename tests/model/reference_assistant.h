// The assistant a second time: slow, in double precision, straight from the specification (reference sheet
// 6). It shares no code with model/drafter.cpp but the codecs, and reads keys and values out of
// ReferenceNetwork.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "model/assistant.h"
#include "reference_network.h"

namespace carat {

class ReferenceAssistant {
 public:
  using Vector = std::vector<double>;

  ReferenceAssistant(const Assistant& assistant, const Model& target, const ReferenceNetwork& network)
      : assistant_(assistant), target_(target), network_(network), config_(assistant.config.network) {}

  struct Step {
    Vector logits, hidden;
  };

  // The step after `n_cached` positions, at `position`.
  Step step(Token token, const Vector& hidden, size_t n_cached, size_t position) const {
    const double width = std::sqrt(static_cast<double>(assistant_.config.backbone_dim));
    Vector joined = matrix_row(target_.weights.token_embedding, token);
    for (double& v : joined) v *= width;
    joined.insert(joined.end(), hidden.begin(), hidden.end());
    Vector h = product(assistant_.weights.pre_projection, joined);
    for (size_t l = 0; l < config_.layers.size(); ++l) {
      const LayerWeights& w = assistant_.weights.network.layers[l];
      add(h, rms(attention(l, rms(h, w.attn_norm), n_cached, position), w.post_attention_norm));
      const Vector x = rms(h, w.ffn_norm), up = product(w.up, x);
      Vector gate = product(w.gate, x);
      for (size_t i = 0; i < gate.size(); ++i) {
        const double g = gate[i];
        gate[i] = 0.5 * g * (1 + std::tanh(std::sqrt(2 / M_PI) * (g + 0.044715 * g * g * g))) * up[i];
      }
      add(h, rms(product(w.down, gate), w.post_ffw_norm));
      if (w.output_scale)
        for (double& v : h) v *= static_cast<double>(w.output_scale.f32()[0]);
    }
    const Vector y = rms(h, assistant_.weights.network.output_norm);
    return {product(assistant_.weights.network.token_embedding, y),
            product(assistant_.weights.post_projection, y)};
  }

  // The tokens that the ordered head considers after this output of the last norm's product with the
  // centroids.
  std::vector<Token> candidates(const Vector& centroid_scores) const {
    std::vector<size_t> order(centroid_scores.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return centroid_scores[a] > centroid_scores[b]; });
    const size_t n_each = assistant_.ordering.size() / centroid_scores.size();
    std::vector<Token> tokens;
    for (int64_t i = 0; i < assistant_.config.n_centroids_used; ++i)
      for (size_t j = 0; j < n_each; ++j)
        tokens.push_back(assistant_.ordering[order[static_cast<size_t>(i)] * n_each + j]);
    return tokens;
  }

 private:
  // Sliding layers read the target's last owning sliding layer, full ones the last owning full one.
  size_t source_of(const LayerConfig& layer) const {
    size_t source = 0;
    for (size_t j = 0; j < target_.config.layers.size(); ++j)
      if (target_.config.layers[j].sliding == layer.sliding &&
          target_.config.layers[j].kv_source == static_cast<int>(j))
        source = j;
    return source;
  }

  Vector attention(size_t l, const Vector& x, size_t n_cached, size_t position) const {
    const LayerConfig& layer = config_.layers[l];
    const LayerWeights& w = assistant_.weights.network.layers[l];
    const size_t dim = static_cast<size_t>(layer.head_dim), n_heads = static_cast<size_t>(layer.n_heads),
                 group = static_cast<size_t>(layer.n_heads / layer.n_kv_heads), source = source_of(layer);
    const Vector q = product(w.q, x);
    Vector out(q.size(), 0.0);
    for (size_t head = 0; head < n_heads; ++head) {
      Vector query(q.begin() + static_cast<ptrdiff_t>(head * dim),
                   q.begin() + static_cast<ptrdiff_t>((head + 1) * dim));
      query = rms(query, w.q_norm);
      rotate(query, layer, static_cast<double>(position));
      const size_t kv = head / group * dim;
      Vector p;
      std::vector<size_t> visible;
      for (size_t j = 0; j < n_cached; ++j) {
        if (layer.sliding && position - j >= static_cast<size_t>(layer.window)) continue;
        visible.push_back(j);
        p.push_back(std::inner_product(query.begin(), query.end(),
                                       network_.keys(source)[j].begin() + static_cast<ptrdiff_t>(kv), 0.0));
      }
      const double peak = *std::max_element(p.begin(), p.end());
      double total = 0;
      for (double& v : p) total += v = std::exp(v - peak);
      for (size_t j = 0; j < visible.size(); ++j)
        for (size_t i = 0; i < dim; ++i)
          out[head * dim + i] += p[j] / total * network_.values(source)[visible[j]][kv + i];
    }
    return product(w.o, out);
  }

  static void rotate(Vector& head, const LayerConfig& layer, double position) {
    const size_t half = head.size() / 2, n_turning = layer.sliding ? half : half / 4;
    for (size_t i = 0; i < n_turning; ++i) {
      const double angle = position * std::pow(layer.rope_theta, -2.0 * static_cast<double>(i) /
                                                                     static_cast<double>(head.size()));
      const double a = head[i], b = head[i + half];
      head[i] = a * std::cos(angle) - b * std::sin(angle);
      head[i + half] = b * std::cos(angle) + a * std::sin(angle);
    }
  }

  static void add(Vector& to, const Vector& what) {
    for (size_t i = 0; i < to.size(); ++i) to[i] += what[i];
  }

  Vector rms(const Vector& x, const Tensor& weight) const {
    double sum = 0;
    for (const double v : x) sum += v * v;
    const double scale =
        1 / std::sqrt(sum / static_cast<double>(x.size()) + static_cast<double>(config_.norm_eps));
    Vector out(x);
    for (size_t i = 0; i < x.size(); ++i) out[i] *= scale * static_cast<double>(weight.f32()[i]);
    return out;
  }

  static Vector product(const Tensor& weight, const Vector& x) {
    Vector y;
    for (int64_t o = 0; o < weight.n_rows(); ++o) {
      const Vector row = matrix_row(weight, o);
      y.push_back(std::inner_product(row.begin(), row.end(), x.begin(), 0.0));
    }
    return y;
  }

  static Vector matrix_row(const Tensor& matrix, int64_t i) {
    std::vector<float> row(static_cast<size_t>(matrix.n_columns()));
    codec_of(matrix.type).decode(matrix.row(i), matrix.n_columns(), row.data());
    return Vector(row.begin(), row.end());
  }

  const Assistant& assistant_;
  const Model& target_;
  const ReferenceNetwork& network_;
  const Config& config_;
};

}  // namespace carat
