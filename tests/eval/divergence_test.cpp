// Rows of logits whose answers are known on paper.
#include "eval/divergence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"

namespace carat {
namespace {

double divergence_of(const std::vector<float>& reference, const std::vector<float>& logits) {
  const RowSummary a = summarize(reference), b = summarize(logits);
  std::vector<float> p(reference.size());
  probabilities(reference, a, p);
  return kl_divergence(p, reference, a, logits, b);
}

TEST(Divergence, SummaryOfHandMadeRows) {
  const std::vector<float> uniform(1000, 7.5f);
  EXPECT_NEAR(summarize(uniform).log_sum, 7.5 + std::log(1000.0), 1e-12);
  EXPECT_EQ(summarize(uniform).top, 0);  // the first of equals
  const std::vector<float> row{0, static_cast<float>(std::log(3.0)), -1e30f, 0};
  const RowSummary summary = summarize(row);
  EXPECT_EQ(summary.top, 1);
  EXPECT_NEAR(log_probability(row, summary, 1), std::log(0.6), 1e-7);
  EXPECT_NEAR(log_probability(row, summary, 3), std::log(0.2), 1e-7);
}

TEST(Divergence, KnownValues) {
  // p = (1/2, 1/2), q = (1/4, 3/4): KL = ln 2 - ln(3) / 2.
  const std::vector<float> p{0, 0}, q{0, static_cast<float>(std::log(3.0))};
  EXPECT_NEAR(divergence_of(p, q), std::log(2.0) - 0.5 * std::log(3.0), 1e-7);
  EXPECT_NEAR(divergence_of(q, p), 0.75 * std::log(3.0) - std::log(2.0), 1e-7);
  EXPECT_EQ(divergence_of(q, q), 0);
  const std::vector<float> shifted{5, 5 + static_cast<float>(std::log(3.0))};
  EXPECT_NEAR(divergence_of(q, shifted), 0, 1e-6);
}

TEST(Divergence, ForbiddenTokens) {
  const float never = -std::numeric_limits<float>::infinity();
  EXPECT_NEAR(divergence_of({0, 0, never}, {0, 0, never}), 0, 1e-15);
  EXPECT_NEAR(divergence_of({0, 0, never}, {0, 0, 0}), std::log(1.5), 1e-7);
  EXPECT_TRUE(std::isinf(divergence_of({0, 0, 0}, {0, 0, never})));
}

TEST(Divergence, SmallDifferencesAreMeasured) {
  // Noise of size s gives KL about s^2 / 2 times the variance under p: far below f32's resolution of a
  // log-sum.
  Random random(3);
  std::vector<float> a(50000), b(50000);
  for (size_t i = 0; i < a.size(); ++i) {
    a[i] = static_cast<float>(2 * random.normal());
    b[i] = a[i] + 1e-3f * static_cast<float>(random.normal());
  }
  long double sum_a = 0, sum_b = 0, expected = 0;
  for (size_t i = 0; i < a.size(); ++i)
    sum_a += std::exp((long double)a[i]), sum_b += std::exp((long double)b[i]);
  for (size_t i = 0; i < a.size(); ++i)
    expected += std::exp((long double)a[i]) / sum_a *
                (((long double)a[i] - std::log(sum_a)) - ((long double)b[i] - std::log(sum_b)));
  EXPECT_GT(static_cast<double>(expected), 1e-7);
  EXPECT_NEAR(divergence_of(a, b), static_cast<double>(expected), 1e-4 * static_cast<double>(expected));
}

}  // namespace
}  // namespace carat
