// Every interval of a report, against the truth: how often does what says 95 % cover it?
#include <gtest/gtest.h>

#include "eval/simulated.h"

namespace carat {
namespace {

TEST(Coverage, OfEveryInterval) {
  constexpr int kRuns = 250;
  uint64_t seed = 60;
  for (const simulated::CoverageCase& c : simulated::coverage_cases()) {
    const double share = simulated::coverage(c, kRuns, ++seed);
    // Three standard errors of the simulation itself.
    EXPECT_GE(share, c.lowest - 3 * std::sqrt(c.lowest * (1 - c.lowest) / kRuns)) << c.name;
    EXPECT_LE(share, c.highest + 3 * std::sqrt(c.highest * (1 - c.highest) / kRuns)) << c.name;
  }
}

// A few whole judgements; bench_eval_judge has a thousand.
TEST(Coverage, OfWholeJudgements) {
  constexpr int kRuns = 40;
  Random random(71);
  int false_calls = 0;
  for (int i = 0; i < kRuns; ++i)
    false_calls += simulated::judge_once(random, 4, 0, 400, i % 2 == 0, 200).false_call;
  EXPECT_LE(false_calls, kRuns * (0.05 + 3 * std::sqrt(0.05 * 0.95 / kRuns)));
  int found = 0;
  for (int i = 0; i < 10; ++i) found += simulated::judge_once(random, 4, 0.06, 1600, i % 2 == 0, 200).found;
  EXPECT_GE(found, 8);  // six points cannot be missed in so many items
}

}  // namespace
}  // namespace carat
