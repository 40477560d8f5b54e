// The whole training network: values against double precision, gradients of every parameter against central
// differences, for every variant of the architecture.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "train/blas.h"
#include "train/network.h"
#include "train/reference.h"
#include "train/toy.h"

namespace carat::train {
namespace {

using reference::Vector;

// Start weights, moved so that gains and scales are not all equal.
Parameters some_parameters(const Config& config, Random& random) {
  Parameters parameters = make_parameters(config);
  initialize(parameters, 3);
  for (const Parameter& p : parameters.list) {
    if (!p.trainable || p.is_matrix()) continue;
    for (float& value : parameters.of(p)) value *= static_cast<float>(1 + 0.2 * random.normal());
  }
  return parameters;
}

struct Problem {
  explicit Problem(const Config& config, int64_t n_rows_, int64_t length_)
      : random(5), parameters(some_parameters(config, random)), n_rows(n_rows_), length(length_) {
    for (int64_t i = 0; i < n_rows * length; ++i) {
      tokens.push_back(static_cast<Token>(random.below(config.n_vocab)));
      targets.push_back(static_cast<Token>(random.below(config.n_vocab)));
      weights.push_back(i % 3 == 0 ? 1.0f : 0.25f);
    }
  }
  TokenRows rows() const { return {n_rows, length, tokens}; }

  double reference_loss(const Vector& arena) const {
    const Config& config = parameters.config;
    const Vector hidden = reference::network(parameters, arena, rows());
    const Vector z = reference::logits(hidden, arena.data() + parameters.find("token_embd.weight")->offset,
                                       n_rows * length, config.dim, config.n_vocab,
                                       static_cast<double>(config.logit_soft_cap));
    return reference::loss(z, {}, {targets, weights, 0}, config.n_vocab);
  }

  Random random;
  Parameters parameters;
  int64_t n_rows, length;
  std::vector<Token> tokens, targets;
  std::vector<float> weights;
};

class NetworkOf : public testing::TestWithParam<size_t> {
 protected:
  void SetUp() override { ASSERT_TRUE(load_blas().has_value()); }
  const toy::Variant variant_ = toy::variants()[GetParam()];
};

TEST_P(NetworkOf, MatchesDoublePrecision) {
  const Problem problem(variant_.config, 2, 11);
  const Network network(problem.parameters, 16);
  for (const bool keep : {true, false}) {
    Activations activations(variant_.config, 2, 11, keep);
    network.forward(problem.parameters.values.data(), problem.rows(), activations);
    const Vector wanted = reference::network(
        problem.parameters, reference::widen(problem.parameters.values.span()), problem.rows());
    for (size_t i = 0; i < wanted.size(); ++i)
      ASSERT_NEAR(static_cast<double>(activations.hidden[i]), wanted[i], 1e-5)
          << "at " << i << ", keep " << keep;
  }
}

TEST_P(NetworkOf, GradientsMatchDifferences) {
  Problem problem(variant_.config, 2, 11);
  const Config& config = variant_.config;
  const Parameters& parameters = problem.parameters;
  const Network network(parameters, 11);
  Activations activations(config, 2, 11, true);
  std::vector<float> gradients(parameters.values.size()), scratch(loss_scratch(config.n_vocab, false));
  std::vector<uint8_t> right(problem.tokens.size());
  network.forward(parameters.values.data(), problem.rows(), activations);
  const LossSums sums = head_loss(network.head(parameters.values.data(), activations), nullptr,
                                  {problem.targets, problem.weights, 0}, activations.dh,
                                  network.head_table(gradients.data()), right, scratch.data());
  network.backward(parameters.values.data(), problem.rows(), activations, gradients.data());

  const Vector arena = reference::widen(parameters.values.span());
  EXPECT_NEAR(sums.loss, problem.reference_loss(arena), 1e-5 * sums.loss);
  const std::string last_scale = fmt::format("blk.{}.layer_output_scale.weight", config.n_layers() - 1);
  for (const Parameter& p : parameters.list) {
    const std::span<const float> gradient(gradients.data() + p.offset, static_cast<size_t>(p.size));
    if (!p.trainable) {
      for (const float g : gradient) EXPECT_EQ(g, 0.0f);
      continue;
    }
    if (p.name == last_scale) {  // the final norm undoes it, but for eps
      EXPECT_NEAR(gradient[0], 0, 1e-4);
      continue;
    }
    EXPECT_TRUE(std::any_of(gradient.begin(), gradient.end(), [](float g) { return g != 0; })) << p.name;
    const auto f = [&](const Vector& values) {
      Vector moved = arena;
      std::copy(values.begin(), values.end(), moved.begin() + static_cast<std::ptrdiff_t>(p.offset));
      return problem.reference_loss(moved);
    };
    const Vector at = reference::widen(parameters.of(p));
    EXPECT_LT(reference::gradient_error(f, at, gradient, problem.random, 2), 1e-4) << p.name;
  }
}

TEST_P(NetworkOf, RowsDoNotSeeEachOther) {
  Problem problem(variant_.config, 2, 9);
  const Network network(problem.parameters, 9);
  Activations activations(variant_.config, 2, 9, true);
  network.forward(problem.parameters.values.data(), problem.rows(), activations);
  const auto half = static_cast<size_t>(9 * variant_.config.dim);
  const std::vector<float> second(activations.hidden + half, activations.hidden + 2 * half);
  for (size_t i = 0; i < 9; ++i) problem.tokens[i] = (problem.tokens[i] + 1) % 7;
  network.forward(problem.parameters.values.data(), problem.rows(), activations);
  // Other rows can move a row to another place in its expert's batch, and some BLAS kernels round by place.
  for (size_t i = 0; i < half; ++i) ASSERT_NEAR(activations.hidden[half + i], second[i], 1e-6);
}

TEST_P(NetworkOf, LaterTokensDoNotReachBack) {
  Problem problem(variant_.config, 1, 12);
  const Network network(problem.parameters, 12);
  Activations activations(variant_.config, 1, 12, true);
  network.forward(problem.parameters.values.data(), problem.rows(), activations);
  const auto kept = static_cast<size_t>(8 * variant_.config.dim);
  const std::vector<float> before(activations.hidden, activations.hidden + kept);
  for (size_t i = 8; i < 12; ++i) problem.tokens[i] = (problem.tokens[i] + 1) % 7;
  network.forward(problem.parameters.values.data(), problem.rows(), activations);
  for (size_t i = 0; i < kept; ++i) ASSERT_NEAR(activations.hidden[i], before[i], 1e-6);
}

INSTANTIATE_TEST_SUITE_P(Variants, NetworkOf, testing::Range<size_t>(0, toy::variants().size()),
                         [](const auto& variant) {
                           return std::string(toy::variants()[variant.param].name);
                         });

}  // namespace
}  // namespace carat::train
