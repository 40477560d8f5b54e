// The network's operations and the network itself in double precision, written the slow and obvious way: what
// the training code's values and (by central differences) its gradients are checked against.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/random.h"
#include "train/network.h"
#include "train/ops_loss.h"
#include "train/parameters.h"

namespace carat::train::reference {

using Vector = std::vector<double>;

Vector widen(std::span<const float> values);
std::vector<float> random_values(Random& random, int64_t n, double deviation = 1);

// Rows of `dim`; weight may be empty.
Vector rms_norm(const Vector& x, const Vector& weight, int64_t dim, double eps);
// x [n_tokens, n_heads, head_dim], positions token % length.
Vector rope(const Vector& x, int64_t length, int64_t n_heads, int64_t head_dim, double theta,
            const Vector& divisors);
// y [n, out] = x [n, in] w^T
Vector linear(const Vector& x, const double* w, int64_t n, int64_t in, int64_t out);
Vector attention(const AttentionRows& rows, const Vector& q, const Vector& k, const Vector& v);
double gelu(double x);
Vector ffn(const FfnShape& shape, const double* gate, const double* up, const double* down, const Vector& x);
struct Experts {
  const double *router, *router_scale, *gate_up, *down, *down_scale;
};
Vector moe(const MoeShape& shape, const Experts& weights, const Vector& a, const Vector& x);
Vector per_layer_inputs(const PerLayerShape& shape, const double* table, const double* projection,
                        const Vector& norm, std::span<const Token> tokens, const Vector& h);
// Capped logits [n, n_vocab].
Vector logits(const Vector& hidden, const double* table, int64_t n, int64_t dim, int64_t n_vocab, double cap);
// Sum of weight * (distill * KL(parent || student) + (1 - distill) * CE) over capped logits; parent may be
// empty.
double loss(const Vector& student, const Vector& parent, const LossTargets& targets, int64_t n_vocab);

// Final hidden states [n, dim] of a network whose arena is `weights`.
Vector network(const Parameters& layout, const Vector& weights, const TokenRows& rows);

// |analytic - numeric| of the derivative of f at x along random directions, relative to the size of the
// larger one and a floor of `floor` times the gradient's own length: the worst of n_directions.
double gradient_error(const std::function<double(const Vector&)>& f, const Vector& x,
                      std::span<const float> gradient, Random& random, int n_directions = 4,
                      double step = 1e-5);

}  // namespace carat::train::reference
