// Each operation of the training network: its value against double precision, its gradient against central
// differences of that, on shapes with odd sizes. Errors are relative to the gradient's length; f32 sums of
// some hundred terms leave about 1e-6, and a wrong term leaves far more than the limit.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "train/blas.h"
#include "train/ops_attention.h"
#include "train/ops_embedding.h"
#include "train/ops_ffn.h"
#include "train/ops_linear.h"
#include "train/ops_loss.h"
#include "train/ops_moe.h"
#include "train/ops_norm.h"
#include "train/reference.h"
#include "train/vector_loops.h"

namespace carat::train {
namespace {

using reference::gradient_error;
using reference::random_values;
using reference::Vector;
using reference::widen;
using Floats = std::vector<float>;

constexpr double kLimit = 2e-5;  // relative error of gradients
constexpr float kEps = 1e-6f;

Floats zeros(size_t n) { return Floats(n); }
Floats zeros(int64_t n) { return Floats(static_cast<size_t>(n)); }

double dot(const Vector& a, const Floats& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * static_cast<double>(b[i]);
  return sum;
}

void expect_near(const Floats& found, const Vector& wanted, double tolerance) {
  ASSERT_EQ(found.size(), wanted.size());
  double worst = 0, size = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(found[i]) - wanted[i]));
    size = std::max(size, std::abs(wanted[i]));
  }
  EXPECT_LT(worst, tolerance * std::max(size, 1e-3));
}

class Ops : public testing::Test {
 protected:
  void SetUp() override {
    const auto loaded = load_blas();
    ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  }
  Random random{11};
};

TEST_F(Ops, RmsNorm) {
  for (const int64_t dim : {1, 7, 16, 33, 64, 100}) {
    const int64_t n = 5;
    const Floats x = random_values(random, n * dim), w = random_values(random, dim),
                 c = random_values(random, n * dim);
    Floats y = zeros(n * dim), inverse = zeros(n), dx = zeros(n * dim), dw = zeros(dim);
    vector_loops().rms_norm(x.data(), w.data(), n, dim, kEps, y.data(), inverse.data());
    expect_near(y, reference::rms_norm(widen(x), widen(w), dim, 1e-6), 1e-6);
    vector_loops().rms_norm_backward(x.data(), w.data(), inverse.data(), c.data(), n, dim, false, dx.data(),
                                     dw.data());
    const auto of_x = [&](const Vector& p) { return dot(reference::rms_norm(p, widen(w), dim, 1e-6), c); };
    const auto of_w = [&](const Vector& p) { return dot(reference::rms_norm(widen(x), p, dim, 1e-6), c); };
    // One column: y is the sign of x, and its gradient vanishes but for eps.
    if (dim > 1) {
      EXPECT_LT(gradient_error(of_x, widen(x), dx, random), kLimit) << dim;
    }
    EXPECT_LT(gradient_error(of_w, widen(w), dw, random), kLimit) << dim;
    Floats again = dx;
    vector_loops().rms_norm_backward(x.data(), w.data(), inverse.data(), c.data(), n, dim, true, again.data(),
                                     nullptr);
    for (size_t i = 0; i < dx.size(); ++i) EXPECT_FLOAT_EQ(again[i], 2 * dx[i]);
  }
}

TEST_F(Ops, HeadNormAndRope) {
  struct Case {
    HeadShape shape;
    bool weighted, turned, divided;
  };
  for (const Case& c : {Case{{10, 5, 3, 8}, true, true, false}, Case{{6, 6, 1, 34}, true, true, true},
                        Case{{4, 2, 2, 6}, false, false, false}, Case{{9, 3, 2, 64}, false, true, true}}) {
    const auto [n, length, n_heads, dim] = c.shape;
    const int64_t size = n * n_heads * dim;
    Floats divisors;
    for (int64_t i = 0; c.divided && i < dim / 2; ++i) divisors.push_back(i < dim / 8 ? 1.0f : 1e30f);
    const RopeTable table(500, dim, length, divisors.empty() ? nullptr : divisors.data());
    const RopeTable* rope = c.turned ? &table : nullptr;
    const Floats x = random_values(random, size), w = random_values(random, dim),
                 out = random_values(random, size);
    const float* weight = c.weighted ? w.data() : nullptr;
    Floats y = zeros(size), inverse = zeros(n * n_heads), dy = out, dx = zeros(size), dw = zeros(dim);
    head_norm(x.data(), weight, rope, c.shape, kEps, y.data(), inverse.data());
    const auto f = [&](const Vector& px, const Vector& pw) {
      const Vector normed = reference::rms_norm(px, c.weighted ? pw : Vector{}, dim, 1e-6);
      return c.turned ? reference::rope(normed, length, n_heads, dim, 500, widen(divisors)) : normed;
    };
    expect_near(y, f(widen(x), widen(w)), 2e-6);
    head_norm_backward(x.data(), weight, rope, inverse.data(), c.shape, false, dy.data(), dx.data(),
                       c.weighted ? dw.data() : nullptr);
    EXPECT_LT(gradient_error([&](const Vector& p) { return dot(f(p, widen(w)), out); }, widen(x), dx, random),
              kLimit);
    const auto of_weight = [&](const Vector& p) { return dot(f(widen(x), p), out); };
    EXPECT_LT(c.weighted ? gradient_error(of_weight, widen(w), dw, random) : 0, kLimit);
  }
}

TEST_F(Ops, RopeLeavesFrequencyZeroPairsAlone) {
  const Floats divisors{1, 1e30f, 1e30f, 1e30f};
  const RopeTable table(1e6, 8, 1000, divisors.data());
  for (size_t position = 0; position < 1000; ++position)
    for (size_t pair = 1; pair < 4; ++pair) {
      EXPECT_EQ(table.cosine[position * 4 + pair], 1.0f);
      EXPECT_LT(std::abs(table.sine[position * 4 + pair]), 1e-20f);
    }
  EXPECT_NE(table.cosine[4], 1.0f);
}

TEST_F(Ops, Linear) {
  const int64_t n = 7, in = 13, out = 5;
  const Floats x = random_values(random, n * in), w = random_values(random, in * out),
               c = random_values(random, n * out);
  Floats y = zeros(n * out), dx = zeros(n * in), dw = zeros(in * out);
  linear(x.data(), w.data(), n, in, out, y.data(), 0.5f);
  const auto f = [&](const Vector& px, const Vector& pw) {
    Vector result = reference::linear(px, pw.data(), n, in, out);
    for (double& value : result) value *= 0.5;
    return result;
  };
  expect_near(y, f(widen(x), widen(w)), 1e-6);
  linear_backward(x.data(), w.data(), c.data(), n, in, out, false, dx.data(), dw.data(), 0.5f);
  EXPECT_LT(gradient_error([&](const Vector& p) { return dot(f(p, widen(w)), c); }, widen(x), dx, random),
            kLimit);
  EXPECT_LT(gradient_error([&](const Vector& p) { return dot(f(widen(x), p), c); }, widen(w), dw, random),
            kLimit);
}

TEST_F(Ops, Attention) {
  for (const AttentionRows& rows : {AttentionRows{2, 9, 4, 2, 6, 0}, AttentionRows{1, 70, 2, 1, 8, 0},
                                    AttentionRows{2, 75, 3, 3, 5, 16}, AttentionRows{1, 40, 2, 2, 4, 1},
                                    AttentionRows{1, 33, 2, 1, 16, 64}, AttentionRows{3, 1, 2, 1, 4, 3}}) {
    const int64_t n = rows.n_rows * rows.length;
    const Floats q = random_values(random, n * rows.q_size(), 0.7),
                 k = random_values(random, n * rows.kv_size(), 0.7),
                 v = random_values(random, n * rows.kv_size()), c = random_values(random, n * rows.q_size());
    Floats out = zeros(q.size()), log_sum = zeros(n * rows.n_heads), scratch = zeros(attention_scratch(rows));
    attention(rows, q.data(), k.data(), v.data(), out.data(), log_sum.data(), scratch.data());
    expect_near(out, reference::attention(rows, widen(q), widen(k), widen(v)), 2e-6);

    Floats dq = zeros(q.size()), dk = zeros(k.size()), dv = zeros(v.size());
    attention_backward(rows, q.data(), k.data(), v.data(), out.data(), log_sum.data(), c.data(), dq.data(),
                       dk.data(), dv.data(), scratch.data());
    const auto f = [&](const Vector& pq, const Vector& pk, const Vector& pv) {
      return dot(reference::attention(rows, pq, pk, pv), c);
    };
    const Vector wq = widen(q), wk = widen(k), wv = widen(v);
    const bool sees_one = rows.window == 1 || rows.length == 1;  // probability 1 whatever the scores
    if (!sees_one) {
      EXPECT_LT(gradient_error([&](const Vector& p) { return f(p, wk, wv); }, wq, dq, random), kLimit);
      EXPECT_LT(gradient_error([&](const Vector& p) { return f(wq, p, wv); }, wk, dk, random), kLimit);
    }
    EXPECT_LT(gradient_error([&](const Vector& p) { return f(wq, wk, p); }, wv, dv, random), kLimit);
  }
}

TEST_F(Ops, AttentionGradientsOfKeysAddUp) {
  const AttentionRows rows{1, 12, 2, 1, 8, 5};
  const Floats q = random_values(random, 12 * 16), k = random_values(random, 12 * 8),
               v = random_values(random, 12 * 8), c = random_values(random, 12 * 16);
  Floats out = zeros(q.size()), log_sum = zeros(int64_t{24}), scratch = zeros(attention_scratch(rows));
  attention(rows, q.data(), k.data(), v.data(), out.data(), log_sum.data(), scratch.data());
  Floats dq = zeros(q.size()), dk = zeros(k.size()), dv = zeros(v.size());
  const auto backward = [&] {
    attention_backward(rows, q.data(), k.data(), v.data(), out.data(), log_sum.data(), c.data(), dq.data(),
                       dk.data(), dv.data(), scratch.data());
  };
  backward();
  const Floats dk_once = dk, dv_once = dv;
  backward();
  for (size_t i = 0; i < dk.size(); ++i) EXPECT_NEAR(dk[i], 2 * dk_once[i], 1e-5);
  for (size_t i = 0; i < dv.size(); ++i) EXPECT_NEAR(dv[i], 2 * dv_once[i], 1e-5);
}

TEST_F(Ops, FeedForward) {
  const FfnShape shape{6, 9, 21};
  const int64_t size = shape.dim * shape.n_ff;
  const Floats x = random_values(random, shape.n * shape.dim), c = random_values(random, shape.n * shape.dim),
               gate = random_values(random, size, 0.4), up = random_values(random, size, 0.4),
               down = random_values(random, size, 0.4);
  Floats a = zeros(shape.n * shape.n_ff), b = a, h = a, y = zeros(x.size()), scratch = zeros(2 * a.size());
  const FfnKept kept{a.data(), b.data(), h.data()};
  ffn(shape, {gate.data(), up.data(), down.data()}, x.data(), kept, y.data());
  const auto f = [&](const Vector& px, const Vector& pg, const Vector& pu, const Vector& pd) {
    return reference::ffn(shape, pg.data(), pu.data(), pd.data(), px);
  };
  const Vector wx = widen(x), wg = widen(gate), wu = widen(up), wd = widen(down);
  expect_near(y, f(wx, wg, wu, wd), 2e-6);
  Floats dx = zeros(x.size()), dg = zeros(size), du = zeros(size), dd = zeros(size);
  ffn_backward(shape, {gate.data(), up.data(), down.data()}, x.data(), kept, c.data(),
               {dg.data(), du.data(), dd.data()}, dx.data(), scratch.data());
  EXPECT_LT(gradient_error([&](const Vector& p) { return dot(f(p, wg, wu, wd), c); }, wx, dx, random),
            kLimit);
  EXPECT_LT(gradient_error([&](const Vector& p) { return dot(f(wx, p, wu, wd), c); }, wg, dg, random),
            kLimit);
  EXPECT_LT(gradient_error([&](const Vector& p) { return dot(f(wx, wg, p, wd), c); }, wu, du, random),
            kLimit);
  EXPECT_LT(gradient_error([&](const Vector& p) { return dot(f(wx, wg, wu, p), c); }, wd, dd, random),
            kLimit);
}

TEST_F(Ops, EmbeddingGradientAddsRepeatedTokens) {
  const std::vector<Token> tokens{3, 1, 3};
  const Floats table = random_values(random, 5 * 4), c = random_values(random, 3 * 4);
  Floats out = zeros(c.size()), dtable = zeros(table.size());
  embed(tokens, table.data(), 4, 2, out.data());
  EXPECT_EQ(out[0], 2 * table[12]);
  EXPECT_EQ(out[7], 2 * table[7]);
  embed_backward(tokens, c.data(), 4, 2, dtable.data());
  EXPECT_FLOAT_EQ(dtable[12], 2 * c[0] + 2 * c[8]);
  EXPECT_FLOAT_EQ(dtable[4], 2 * c[4]);
  EXPECT_EQ(dtable[0], 0.0f);
}

TEST_F(Ops, PerLayerInputs) {
  const PerLayerShape shape{9, 5, 3, kEps};
  const int64_t width = shape.width(), n_vocab = 6;
  const std::vector<Token> tokens{5, 0, 2, 2};
  const auto n = static_cast<int64_t>(tokens.size());
  const Floats table = random_values(random, n_vocab * width),
               projection = random_values(random, shape.dim * width),
               norm = random_values(random, shape.per_layer_dim), h = random_values(random, n * shape.dim),
               c = random_values(random, n * width);
  Floats projected = zeros(n * width), inverse = zeros(n * shape.n_layers), p = zeros(n * width);
  const PerLayerWeights weights{table.data(), projection.data(), norm.data()};
  per_layer_inputs(shape, weights, tokens, h.data(), projected.data(), inverse.data(), p.data());
  const auto f = [&](const Vector& pt, const Vector& pp, const Vector& pn, const Vector& ph) {
    return reference::per_layer_inputs(shape, pt.data(), pp.data(), pn, tokens, ph);
  };
  const Vector wt = widen(table), wp = widen(projection), wn = widen(norm), wh = widen(h);
  expect_near(p, f(wt, wp, wn, wh), 2e-6);
  Floats dp = c, dh = zeros(h.size()), dt = zeros(table.size()), dproj = zeros(projection.size()),
         dn = zeros(norm.size());
  per_layer_inputs_backward(shape, weights, tokens, h.data(), projected.data(), inverse.data(), dp.data(),
                            dh.data(), {dt.data(), dproj.data(), dn.data()});
  EXPECT_LT(gradient_error([&](const Vector& x) { return dot(f(x, wp, wn, wh), c); }, wt, dt, random),
            kLimit);
  EXPECT_LT(gradient_error([&](const Vector& x) { return dot(f(wt, x, wn, wh), c); }, wp, dproj, random),
            kLimit);
  EXPECT_LT(gradient_error([&](const Vector& x) { return dot(f(wt, wp, x, wh), c); }, wn, dn, random),
            kLimit);
  EXPECT_LT(gradient_error([&](const Vector& x) { return dot(f(wt, wp, wn, x), c); }, wh, dh, random),
            kLimit);
}

TEST_F(Ops, MixtureOfExperts) {
  const MoeShape shape{9, 10, 6, 3, 7, kEps};
  const int64_t nd = shape.n * shape.dim, stack = shape.n_experts * shape.dim * shape.n_ff;
  Floats values[7] = {random_values(random, nd),
                      random_values(random, nd),
                      random_values(random, shape.n_experts * shape.dim, 3),
                      random_values(random, shape.dim),
                      random_values(random, 2 * stack, 0.5),
                      random_values(random, stack, 0.5),
                      random_values(random, shape.n_experts)};
  const Floats c = random_values(random, nd);
  Floats routed = zeros(nd), inverse = zeros(shape.n), gates = zeros(shape.n_places()),
         x = zeros(shape.n_places() * shape.dim), y = x, g = zeros(shape.n_places() * shape.n_ff), u = g,
         h = g, out = zeros(nd), scratch = zeros(moe_scratch(shape));
  std::vector<int32_t> experts(gates.size()), place(gates.size()),
      start(static_cast<size_t>(shape.n_experts + 1));
  const MoeKept kept{routed.data(),  inverse.data(), gates.data(),
                     experts.data(), place.data(),   start.data(),
                     x.data(),       y.data(),       {g.data(), u.data(), h.data()}};
  const MoeWeights weights{values[2].data(), values[3].data(), values[4].data(), values[5].data(),
                           values[6].data()};
  moe(shape, weights, values[0].data(), values[1].data(), kept, out.data(), scratch.data());
  const auto f = [&](size_t which, const Vector& p) {
    Vector w[7];
    for (size_t i = 0; i < 7; ++i) w[i] = i == which ? p : widen(values[i]);
    return reference::moe(shape, {w[2].data(), w[3].data(), w[4].data(), w[5].data(), w[6].data()}, w[0],
                          w[1]);
  };
  expect_near(out, f(0, widen(values[0])), 4e-6);
  Floats gradients[7];
  for (size_t i = 0; i < 7; ++i) gradients[i] = zeros(values[i].size());
  moe_backward(shape, weights, values[0].data(), kept, c.data(),
               {gradients[2].data(), gradients[3].data(), gradients[4].data(), gradients[5].data(),
                gradients[6].data()},
               gradients[0].data(), gradients[1].data(), scratch.data());
  for (size_t i = 0; i < 7; ++i)
    EXPECT_LT(gradient_error([&](const Vector& p) { return dot(f(i, p), c); }, widen(values[i]), gradients[i],
                             random),
              2 * kLimit)
        << "input " << i;
}

struct LossCase {
  int64_t n, dim, n_vocab;
  float cap;
  bool parent;
  double distill;
};

TEST_F(Ops, HeadLoss) {
  for (const LossCase& c : {LossCase{7, 9, 37, 30, false, 0}, LossCase{20, 12, 50, 0, false, 0},
                            LossCase{5, 16, 64, 5, true, 0.7}, LossCase{60, 6, 5000, 30, true, 1.0}}) {
    const Floats hidden = random_values(random, c.n * c.dim),
                 table = random_values(random, c.n_vocab * c.dim, 0.8);
    const Floats parent_hidden = random_values(random, c.n * 4),
                 parent_table = random_values(random, c.n_vocab * 4);
    std::vector<Token> ids;
    Floats token_weights;
    for (int64_t i = 0; i < c.n; ++i) {
      ids.push_back(static_cast<Token>(random.below(c.n_vocab)));
      token_weights.push_back(i % 5 == 3 ? 0.0f : i % 2 == 0 ? 1.0f : 0.25f);
    }
    const LossTargets targets{ids, token_weights, c.distill};
    const Head student{hidden.data(), table.data(), c.dim, c.n_vocab, c.cap, {}};
    const Head parent{parent_hidden.data(), parent_table.data(), 4, c.n_vocab, c.cap, {}};
    Floats dhidden = zeros(hidden.size()), dtable = zeros(table.size()),
           scratch = zeros(loss_scratch(c.n_vocab, c.parent));
    std::vector<uint8_t> right(ids.size());
    const LossSums sums = head_loss(student, c.parent ? &parent : nullptr, targets, dhidden.data(),
                                    dtable.data(), right, scratch.data());
    const double cap = static_cast<double>(c.cap);
    const Vector parent_logits =
        c.parent ? reference::logits(widen(parent_hidden), widen(parent_table).data(), c.n, 4, c.n_vocab, cap)
                 : Vector{};
    const auto f = [&](const Vector& ph, const Vector& pt) {
      return reference::loss(reference::logits(ph, pt.data(), c.n, c.dim, c.n_vocab, cap), parent_logits,
                             targets, c.n_vocab);
    };
    const Vector wh = widen(hidden), wt = widen(table);
    EXPECT_NEAR(sums.loss, f(wh, wt), 1e-5 * f(wh, wt));
    EXPECT_LT(gradient_error([&](const Vector& p) { return f(p, wt); }, wh, dhidden, random), kLimit);
    EXPECT_LT(gradient_error([&](const Vector& p) { return f(wh, p); }, wt, dtable, random), kLimit);
  }
}

TEST_F(Ops, HeadLossLeavesSuppressedTokensOut) {
  const Floats hidden = random_values(random, 3 * 4), table = random_values(random, 8 * 4);
  const std::vector<Token> ids{0, 1, 2};
  const Floats token_weights{1, 1, 1};
  const std::vector<int32_t> suppressed{5};
  Head head{hidden.data(), table.data(), 4, 8, 30, suppressed};
  Floats dhidden = zeros(hidden.size()), dtable = zeros(table.size()), scratch = zeros(loss_scratch(8, true));
  std::vector<uint8_t> right(3);
  const LossSums sums =
      head_loss(head, &head, {ids, token_weights, 0.5}, dhidden.data(), dtable.data(), right, scratch.data());
  EXPECT_TRUE(std::isfinite(sums.loss));
  EXPECT_NEAR(sums.divergence, 0, 1e-5);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(dtable[5 * 4 + i], 0.0f);
  Floats logits = zeros(int64_t{24});
  head_logits(head, 0, 3, logits.data());
  EXPECT_EQ(logits[5], -std::numeric_limits<float>::infinity());
}

TEST_F(Ops, AnswersAreRunsOfFullWeight) {
  const Floats weights{1, 1, 0.25f, 1, 1, 0.25f, 1, 1};
  const std::vector<uint8_t> right{1, 1, 0, 1, 1, 0, 1, 0};
  LossSums sums;
  count_answers(weights, right, 4, sums);  // rows of 4: [1 1 .25 1] [1 .25 1 1]
  EXPECT_EQ(sums.n_answers, 4);
  EXPECT_EQ(sums.n_answers_right, 3);
}

// --- the vector loops' functions and their instruction sets
// -----------------------------------------------------

TEST_F(Ops, SoftCapAndGeluAreAccurate) {
  Floats x;
  for (double v = -200; v <= 200; v += 0.37) x.push_back(static_cast<float>(v));
  for (double v = 1e-8; v < 1; v *= 3) x.push_back(static_cast<float>(v));
  Floats capped = x;
  vector_loops().soft_cap(capped.data(), static_cast<int64_t>(x.size()), 30);
  const Floats ones(x.size(), 1.0f);
  Floats bent = zeros(x.size());
  vector_loops().geglu(x.data(), ones.data(), static_cast<int64_t>(x.size()), 1,
                       static_cast<int64_t>(x.size()), bent.data());
  for (size_t i = 0; i < x.size(); ++i) {
    const double wide = static_cast<double>(x[i]);
    const double cap = 30 * std::tanh(wide / 30), gelu = reference::gelu(wide);
    EXPECT_NEAR(static_cast<double>(capped[i]), cap, 4e-7 * std::abs(cap)) << x[i];
    EXPECT_NEAR(static_cast<double>(bent[i]), gelu, 4e-7 * std::abs(wide)) << x[i];
  }
}

TEST_F(Ops, SumExpIsAccurateAndPropagatesNan) {
  const Floats x = random_values(random, 1001, 4);
  double wanted = 0;
  for (const float value : x) wanted += std::exp(static_cast<double>(value));
  EXPECT_NEAR(static_cast<double>(vector_loops().sum_exp(x.data(), 1001, 0)), wanted, 1e-6 * wanted);
  Floats broken = x;
  broken[500] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(vector_loops().sum_exp(broken.data(), 1001, 0)));
}

TEST_F(Ops, AllInstructionSetsGiveTheSameBits) {
  const int64_t rows = 3, dim = 77, n = rows * dim;
  const Floats x = random_values(random, n), y = random_values(random, n), w = random_values(random, dim);
  const auto run = [&](const VectorLoops& loops) {
    Floats all;
    const auto keep = [&](const Floats& part) { all.insert(all.end(), part.begin(), part.end()); };
    Floats a = zeros(n), b = zeros(n), inverse = zeros(rows), dw = zeros(dim);
    loops.rms_norm(x.data(), w.data(), rows, dim, kEps, a.data(), inverse.data());
    keep(a), keep(inverse);
    loops.rms_norm_backward(x.data(), w.data(), inverse.data(), y.data(), rows, dim, false, a.data(),
                            dw.data());
    keep(a), keep(dw);
    loops.geglu(x.data(), y.data(), dim, rows, dim, a.data());
    keep(a);
    loops.geglu_backward(x.data(), y.data(), dim, y.data(), rows, dim, a.data(), b.data());
    keep(a), keep(b);
    a = x;
    const ScoreTile tile{a.data(), dim, rows, dim, 60, 0, 50};
    loops.attention_softmax(tile, inverse.data(), 1);
    keep(a), keep(inverse);
    b = y;
    loops.attention_score_gradient(tile, w.data(), b.data());
    keep(b);
    a = x;
    loops.soft_cap(a.data(), n, 3);
    keep(a);
    const float sum = loops.sum_exp(a.data(), n, 1);
    keep({sum, loops.maximum(a.data(), n), loops.dot(x.data(), y.data(), n)});
    keep({loops.loss_gradient(a.data(), n, std::log(sum) + 1, y.data(), 5, 0.7f, 2, 3)});
    keep(a);
    const float* parts[] = {x.data(), y.data(), a.data()};
    keep({static_cast<float>(loops.sum_lanes(parts, 3, 0, n, 0.3f, b.data()))});
    keep(b);
    Floats value = x, m1 = zeros(n), m2 = zeros(n);
    loops.adam({0.9f, 0.98f, 1e-9f, 1e-3f, 50, 1e-4f}, 0.5f, y.data(), n, value.data(), m1.data(), m2.data());
    keep(value), keep(m1), keep(m2);
    return all;
  };
  const Floats generic = run(vector_loops_at(0));
  for (int i = 1; i < n_vector_loops(); ++i) {
    const Floats other = run(vector_loops_at(i));
    ASSERT_EQ(generic.size(), other.size());
    EXPECT_EQ(std::memcmp(generic.data(), other.data(), generic.size() * sizeof(float)), 0)
        << vector_loops_at(i).name;
  }
}

}  // namespace
}  // namespace carat::train
