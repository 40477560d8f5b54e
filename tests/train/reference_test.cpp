// Bodies of reference.h, and a test that the gradient check itself tells right from wrong.
#include "train/reference.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace carat::train::reference {

Vector widen(std::span<const float> values) { return {values.begin(), values.end()}; }

std::vector<float> random_values(Random& random, int64_t n, double deviation) {
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) value = static_cast<float>(random.normal() * deviation);
  return values;
}

Vector rms_norm(const Vector& x, const Vector& weight, int64_t dim, double eps) {
  Vector y(x.size());
  for (size_t row = 0; row < x.size(); row += static_cast<size_t>(dim)) {
    double sum = 0;
    for (size_t i = 0; i < static_cast<size_t>(dim); ++i) sum += x[row + i] * x[row + i];
    const double factor = 1 / std::sqrt(sum / static_cast<double>(dim) + eps);
    for (size_t i = 0; i < static_cast<size_t>(dim); ++i)
      y[row + i] = x[row + i] * factor * (weight.empty() ? 1 : weight[i]);
  }
  return y;
}

Vector rope(const Vector& x, int64_t length, int64_t n_heads, int64_t head_dim, double theta,
            const Vector& divisors) {
  Vector y = x;
  const int64_t half = head_dim / 2, n_tokens = static_cast<int64_t>(x.size()) / (n_heads * head_dim);
  for (int64_t t = 0; t < n_tokens; ++t)
    for (int64_t head = 0; head < n_heads; ++head)
      for (int64_t i = 0; i < half; ++i) {
        const double divisor = divisors.empty() ? 1 : divisors[static_cast<size_t>(i)];
        const double frequency =
            std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim)) / divisor;
        const double angle = frequency * static_cast<double>(t % length);
        const auto at = static_cast<size_t>((t * n_heads + head) * head_dim + i);
        const double a = x[at], b = x[at + static_cast<size_t>(half)];
        y[at] = a * std::cos(angle) - b * std::sin(angle);
        y[at + static_cast<size_t>(half)] = b * std::cos(angle) + a * std::sin(angle);
      }
  return y;
}

Vector linear(const Vector& x, const double* w, int64_t n, int64_t in, int64_t out) {
  Vector y(static_cast<size_t>(n * out));
  for (int64_t t = 0; t < n; ++t)
    for (int64_t o = 0; o < out; ++o)
      y[static_cast<size_t>(t * out + o)] =
          std::inner_product(w + o * in, w + (o + 1) * in, x.begin() + t * in, 0.0);
  return y;
}

Vector attention(const AttentionRows& rows, const Vector& q, const Vector& k, const Vector& v) {
  Vector out(q.size());
  const int64_t dim = rows.head_dim;
  for (int64_t row = 0; row < rows.n_rows; ++row)
    for (int64_t p = 0; p < rows.length; ++p)
      for (int64_t head = 0; head < rows.n_heads; ++head) {
        const int64_t kv_head = head * rows.n_kv_heads / rows.n_heads;
        const int64_t first = rows.window > 0 ? std::max<int64_t>(0, p - rows.window + 1) : 0;
        const auto q_at = (row * rows.length + p) * rows.q_size() + head * dim;
        const auto kv_at = [&](int64_t key) {
          return (row * rows.length + key) * rows.kv_size() + kv_head * dim;
        };
        Vector weight;
        for (int64_t key = first; key <= p; ++key)
          weight.push_back(std::exp(
              std::inner_product(q.begin() + q_at, q.begin() + q_at + dim, k.begin() + kv_at(key), 0.0)));
        const double sum = std::accumulate(weight.begin(), weight.end(), 0.0);
        for (int64_t key = first; key <= p; ++key)
          for (int64_t i = 0; i < dim; ++i)
            out[static_cast<size_t>(q_at + i)] +=
                weight[static_cast<size_t>(key - first)] / sum * v[static_cast<size_t>(kv_at(key) + i)];
      }
  return out;
}

double gelu(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
}

Vector ffn(const FfnShape& shape, const double* gate, const double* up, const double* down, const Vector& x) {
  Vector hidden = linear(x, gate, shape.n, shape.dim, shape.n_ff);
  const Vector other = linear(x, up, shape.n, shape.dim, shape.n_ff);
  for (size_t i = 0; i < hidden.size(); ++i) hidden[i] = gelu(hidden[i]) * other[i];
  return linear(hidden, down, shape.n, shape.n_ff, shape.dim);
}

Vector moe(const MoeShape& shape, const Experts& weights, const Vector& a, const Vector& x) {
  const int64_t dim = shape.dim, n_ff = shape.n_ff;
  Vector routed = rms_norm(a, {}, dim, static_cast<double>(shape.norm_eps));
  for (size_t i = 0; i < routed.size(); ++i)
    routed[i] *= weights.router_scale[i % static_cast<size_t>(dim)] / std::sqrt(static_cast<double>(dim));
  const Vector scores = linear(routed, weights.router, shape.n, dim, shape.n_experts);
  Vector out(x.size());
  for (int64_t t = 0; t < shape.n; ++t) {
    const double* z = scores.data() + t * shape.n_experts;
    std::vector<int64_t> order(static_cast<size_t>(shape.n_experts));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) { return z[i] > z[j]; });
    double sum = 0;
    for (int64_t j = 0; j < shape.n_used; ++j) sum += std::exp(z[order[static_cast<size_t>(j)]]);
    const Vector row(x.begin() + t * dim, x.begin() + (t + 1) * dim);
    for (int64_t j = 0; j < shape.n_used; ++j) {
      const int64_t e = order[static_cast<size_t>(j)];
      const double* gate = weights.gate_up + e * 2 * n_ff * dim;
      const Vector y = ffn({1, dim, n_ff}, gate, gate + n_ff * dim, weights.down + e * n_ff * dim, row);
      for (int64_t i = 0; i < dim; ++i)
        out[static_cast<size_t>(t * dim + i)] +=
            std::exp(z[e]) / sum * weights.down_scale[e] * y[static_cast<size_t>(i)];
    }
  }
  return out;
}

Vector per_layer_inputs(const PerLayerShape& shape, const double* table, const double* projection,
                        const Vector& norm, std::span<const Token> tokens, const Vector& h) {
  const auto n = static_cast<int64_t>(tokens.size());
  Vector b = linear(h, projection, n, shape.dim, shape.width());
  for (double& value : b) value /= std::sqrt(static_cast<double>(shape.dim));
  b = rms_norm(b, norm, shape.per_layer_dim, static_cast<double>(shape.norm_eps));
  for (int64_t i = 0; i < n * shape.width(); ++i) {
    const double a =
        table[tokens[static_cast<size_t>(i / shape.width())] * shape.width() + i % shape.width()] *
        std::sqrt(static_cast<double>(shape.per_layer_dim));
    b[static_cast<size_t>(i)] = (a + b[static_cast<size_t>(i)]) / std::sqrt(2.0);
  }
  return b;
}

Vector logits(const Vector& hidden, const double* table, int64_t n, int64_t dim, int64_t n_vocab,
              double cap) {
  Vector z = linear(hidden, table, n, dim, n_vocab);
  if (cap > 0)
    for (double& value : z) value = cap * std::tanh(value / cap);
  return z;
}

double loss(const Vector& student, const Vector& parent, const LossTargets& targets, int64_t n_vocab) {
  const auto log_sum = [&](const Vector& z, size_t row) {
    double sum = 0;
    for (int64_t i = 0; i < n_vocab; ++i) sum += std::exp(z[row + static_cast<size_t>(i)]);
    return std::log(sum);
  };
  double total = 0;
  for (size_t t = 0; t < targets.targets.size(); ++t) {
    if (targets.weights[t] == 0) continue;
    const size_t row = t * static_cast<size_t>(n_vocab);
    const double log_q = log_sum(student, row);
    const double ce = log_q - student[row + static_cast<size_t>(targets.targets[t])];
    double kl = 0;
    const double log_parent = parent.empty() ? 0 : log_sum(parent, row);
    for (int64_t i = 0; !parent.empty() && i < n_vocab; ++i) {
      const double log_p = parent[row + static_cast<size_t>(i)] - log_parent;
      kl += std::exp(log_p) * (log_p - (student[row + static_cast<size_t>(i)] - log_q));
    }
    const double d = parent.empty() ? 0 : targets.distill;
    total += static_cast<double>(targets.weights[t]) * (d * kl + (1 - d) * ce);
  }
  return total;
}

namespace {

struct Net {
  const Parameters& layout;
  const Vector& weights;
  const TokenRows& rows;
  std::vector<Vector> k, v;  // per layer
  const Config& config = layout.config;
  int64_t n = rows.n_rows * rows.length, dim = config.dim;
  double eps = static_cast<double>(config.norm_eps);

  const double* w(const std::string& name) const {
    const Parameter* p = layout.find(name);
    return p == nullptr ? nullptr : weights.data() + p->offset;
  }
  Vector gains(const std::string& name) const {
    const Parameter* p = layout.find(name);
    return p == nullptr ? Vector{} : Vector(w(name), w(name) + p->size);
  }
  std::string in(int layer, const char* name) const { return fmt::format("blk.{}.{}", layer, name); }
  static void add(Vector& to, const Vector& x) {
    for (size_t i = 0; i < to.size(); ++i) to[i] += x[i];
  }

  void attend(int i, Vector& h) {
    const LayerConfig& l = config.layers[static_cast<size_t>(i)];
    const Vector divisors = l.sliding ? Vector{} : gains("rope_freqs.weight");
    const Vector x = rms_norm(h, gains(in(i, "attn_norm.weight")), dim, eps);
    const auto heads = [&](const char* matrix, int64_t n_heads) {
      return linear(x, w(in(i, matrix)), n, dim, n_heads * l.head_dim);
    };
    const auto turned = [&](const Vector& raw, const char* norm, int64_t n_heads) {
      return rope(rms_norm(raw, gains(in(i, norm)), l.head_dim, eps), rows.length, n_heads, l.head_dim,
                  l.rope_theta, divisors);
    };
    const Vector q = turned(heads("attn_q.weight", l.n_heads), "attn_q_norm.weight", l.n_heads);
    k.emplace_back();
    v.emplace_back();
    if (config.owns_kv(i)) {
      const Vector k_raw = heads("attn_k.weight", l.n_kv_heads);
      k.back() = turned(k_raw, "attn_k_norm.weight", l.n_kv_heads);
      v.back() = rms_norm(l.k_is_v ? k_raw : heads("attn_v.weight", l.n_kv_heads), {}, l.head_dim, eps);
    }
    const AttentionRows shape{rows.n_rows, rows.length, l.n_heads, l.n_kv_heads, l.head_dim, l.window};
    const auto source = static_cast<size_t>(l.kv_source);
    const Vector o =
        linear(attention(shape, q, k[source], v[source]), w(in(i, "attn_output.weight")), n, l.q_size(), dim);
    add(h, rms_norm(o, gains(in(i, "post_attention_norm.weight")), dim, eps));
  }

  void feed_forward(int i, Vector& h) {
    const LayerConfig& l = config.layers[static_cast<size_t>(i)];
    const Vector x = rms_norm(h, gains(in(i, "ffn_norm.weight")), dim, eps);
    Vector y = ffn({n, dim, l.n_ff}, w(in(i, "ffn_gate.weight")), w(in(i, "ffn_up.weight")),
                   w(in(i, "ffn_down.weight")), x);
    if (config.n_experts > 0) {
      y = rms_norm(y, gains(in(i, "post_ffw_norm_1.weight")), dim, eps);
      const MoeShape shape{
          n, dim, config.n_experts, config.n_experts_used, config.n_expert_ff, config.norm_eps};
      const Experts experts{w(in(i, "ffn_gate_inp.weight")), w(in(i, "ffn_gate_inp.scale")),
                            w(in(i, "ffn_gate_up_exps.weight")), w(in(i, "ffn_down_exps.weight")),
                            w(in(i, "ffn_down_exps.scale"))};
      const Vector mixed =
          moe(shape, experts, h, rms_norm(h, gains(in(i, "pre_ffw_norm_2.weight")), dim, eps));
      add(y, rms_norm(mixed, gains(in(i, "post_ffw_norm_2.weight")), dim, eps));
    }
    add(h, rms_norm(y, gains(in(i, "post_ffw_norm.weight")), dim, eps));
  }

  void inject(int i, const Vector& p, Vector& h) {
    const int64_t width = config.per_layer_dim, all = width * config.n_layers();
    Vector gate = linear(h, w(in(i, "inp_gate.weight")), n, dim, width);
    for (int64_t j = 0; j < n * width; ++j)
      gate[static_cast<size_t>(j)] = gelu(gate[static_cast<size_t>(j)]) *
                                     p[static_cast<size_t>(j / width * all + i * width + j % width)];
    add(h, rms_norm(linear(gate, w(in(i, "proj.weight")), n, width, dim), gains(in(i, "post_norm.weight")),
                    dim, eps));
  }

  Vector run() {
    Vector h;
    for (const Token token : rows.tokens)
      for (int64_t i = 0; i < dim; ++i)
        h.push_back(w("token_embd.weight")[token * dim + i] * std::sqrt(static_cast<double>(dim)));
    Vector p;
    if (config.per_layer_dim > 0)
      p = per_layer_inputs({dim, config.per_layer_dim, config.n_layers(), config.norm_eps},
                           w("per_layer_token_embd.weight"), w("per_layer_model_proj.weight"),
                           gains("per_layer_proj_norm.weight"), rows.tokens, h);
    for (int i = 0; i < config.n_layers(); ++i) {
      attend(i, h);
      feed_forward(i, h);
      if (config.per_layer_dim > 0) inject(i, p, h);
      for (double& value : h) value *= *w(in(i, "layer_output_scale.weight"));
    }
    return rms_norm(h, gains("output_norm.weight"), dim, eps);
  }
};

}  // namespace

Vector network(const Parameters& layout, const Vector& weights, const TokenRows& rows) {
  return Net{layout, weights, rows, {}, {}}.run();
}

double gradient_error(const std::function<double(const Vector&)>& f, const Vector& x,
                      std::span<const float> gradient, Random& random, int n_directions, double step) {
  CHECK(x.size() == gradient.size());
  double length = 0;
  for (const float g : gradient) length += static_cast<double>(g) * static_cast<double>(g);
  length = std::sqrt(length);
  double worst = 0;
  for (int d = 0; d < n_directions; ++d) {
    Vector direction(x.size()), plus = x, minus = x;
    double analytic = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      direction[i] = random.normal();
      plus[i] += step * direction[i];
      minus[i] -= step * direction[i];
      analytic += static_cast<double>(gradient[i]) * direction[i];
    }
    const double numeric = (f(plus) - f(minus)) / (2 * step);
    // Along a random direction a gradient of this length shows about its length.
    worst = std::max(worst, std::abs(analytic - numeric) / std::max(length, 1e-12));
  }
  return worst;
}

TEST(GradientCheck, TellsRightFromWrong) {
  Random random(7);
  const Vector x{0.3, -1.2, 2.0};
  const auto f = [](const Vector& p) { return std::sin(p[0]) + p[1] * p[1] * p[2]; };
  const std::vector<float> right{static_cast<float>(std::cos(0.3)), -4.8f, 1.44f};
  EXPECT_LT(gradient_error(f, x, right, random), 1e-6);
  const std::vector<float> wrong{static_cast<float>(std::cos(0.3)), -4.8f, 1.50f};
  EXPECT_GT(gradient_error(f, x, wrong, random), 1e-3);
}

}  // namespace carat::train::reference
