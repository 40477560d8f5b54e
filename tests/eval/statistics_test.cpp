// The judge's statistics against closed forms, and their promises (coverage, false calls, power) by
// simulation.
#include "eval/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/random.h"
#include "eval/distributions.h"

namespace carat {
namespace {

TEST(Distributions, MatchTabulatedValues) {
  EXPECT_NEAR(normal_quantile(0.975), 1.959963984540054, 1e-12);
  EXPECT_NEAR(normal_quantile(0.001), -3.090232306167813, 1e-12);
  EXPECT_NEAR(normal_cdf(1.0), 0.8413447460685429, 1e-14);
  EXPECT_NEAR(student_quantile(0.975, 1), 12.706204736432095, 1e-9);
  EXPECT_NEAR(student_quantile(0.975, 10), 2.228138851964939, 1e-10);
  EXPECT_NEAR(student_quantile(0.995, 30), 2.749995653567231, 1e-10);
  EXPECT_NEAR(student_quantile(0.975, 1e7), normal_quantile(0.975), 1e-6);
  for (const double t : {-3.0, -0.5, 0.0, 0.7, 12.0})
    EXPECT_NEAR(student_cdf(t, 1), 0.5 + std::atan(t) / M_PI, 1e-13);
  EXPECT_NEAR(fair_binomial_pmf(3, 10), 120.0 / 1024, 1e-14);
  EXPECT_NEAR(fair_binomial_cdf(3, 10), 176.0 / 1024, 1e-13);
  EXPECT_NEAR(fair_binomial_cdf(7, 10), 1 - 56.0 / 1024, 1e-13);
  EXPECT_NEAR(fair_binomial_cdf(500, 1000), 0.5 + fair_binomial_pmf(500, 1000) / 2, 1e-12);
}

TEST(Holm, MatchesTheTextbook) {
  const std::vector<double> p{0.01, 0.04, 0.03, 0.005};
  const std::vector<double> adjusted = holm(p);
  EXPECT_DOUBLE_EQ(adjusted[3], 0.02);
  EXPECT_DOUBLE_EQ(adjusted[0], 0.03);
  EXPECT_DOUBLE_EQ(adjusted[2], 0.06);
  EXPECT_DOUBLE_EQ(adjusted[1], 0.06);  // monotone: not below its predecessor
  EXPECT_TRUE(holm({}).empty());
}

TEST(McNemar, ExactMidPWhenFlipsAreApart) {
  Flips flips{std::vector<double>(40, 0.0), std::vector<double>(40, 0.0)};
  flips.won[0] = 1;
  for (size_t i = 1; i < 10; ++i) flips.lost[i] = 1;
  const FlipTest test = mcnemar(flips);
  EXPECT_FALSE(test.clustered);
  EXPECT_EQ(test.won, 1);
  EXPECT_EQ(test.lost, 9);
  EXPECT_NEAR(test.p, 12.0 / 1024, 1e-12);  // 2 (1 + 10) / 1024 - 10 / 1024
  std::swap(flips.won, flips.lost);
  EXPECT_NEAR(mcnemar(flips).p, 12.0 / 1024, 1e-12);
  EXPECT_EQ(mcnemar(Flips{std::vector<double>(5, 0.0), std::vector<double>(5, 0.0)}).p, 1);
}

TEST(McNemar, ClusteredFlipsAreOneWitnessEach) {
  // Three items that each lost three answers together are three witnesses, not nine.
  Flips flips{std::vector<double>(50, 0.0), std::vector<double>(50, 0.0)};
  for (size_t i = 0; i < 3; ++i) flips.lost[i] = 3;
  const FlipTest test = mcnemar(flips);
  EXPECT_TRUE(test.clustered);
  EXPECT_NEAR(test.p, 2 * normal_cdf(-std::sqrt(3.0)), 1e-12);
}

TEST(Bootstrap, AgreesWithTheNormalIntervalAndIgnoresThreads) {
  Random random(5);
  std::vector<double> x(400), weight(400);
  for (size_t i = 0; i < x.size(); ++i) {
    weight[i] = 1 + static_cast<double>(random.below(5));
    x[i] = weight[i] * (0.3 + random.normal());
  }
  const Bootstrap one(400, 4000, 7, 1), three(400, 4000, 7, 3);
  const Interval a = one.ratio(x, weight), b = three.ratio(x, weight), c = ratio_normal(x, weight);
  EXPECT_EQ(a.low, b.low);
  EXPECT_EQ(a.high, b.high);
  EXPECT_DOUBLE_EQ(a.estimate, c.estimate);
  const double width = c.high - c.low;
  EXPECT_NEAR(a.low, c.low, 0.05 * width);
  EXPECT_NEAR(a.high, c.high, 0.05 * width);
}

TEST(Interval, LevelsAndPValuesAgree) {
  const Interval interval{0.5, 0.1, 1.2, 200};
  const double p = p_value(interval);
  EXPECT_NEAR(at_level(interval, 1 - p).low, 0, 1e-9);
  EXPECT_LT(at_level(interval, 1 - p / 2).low, 0);
  EXPECT_NEAR(at_level(interval, 0.95).low, interval.low, 1e-12);
  const Interval mirrored{-0.5, -1.2, -0.1, 200};
  EXPECT_NEAR(p_value(mirrored), p, 1e-12);
}

Interval difference_of(const Flips& flips, const std::vector<double>& n_answers, const Bootstrap& bootstrap) {
  return accuracy_difference(flips, n_answers, bootstrap.ratio(flips.net(), n_answers));
}

// Pairs of models on one set of items: item i has 1 … 4 answers whose flips share the item's own tendency.
struct FakePair {
  Flips flips;
  std::vector<double> n_answers;
};

FakePair draw_pair(Random& random, int64_t n_items, double p_won, double p_lost) {
  FakePair pair;
  for (int64_t i = 0; i < n_items; ++i) {
    const double tendency =
        random.uniform() < 0.25 ? 4.0 : 0.0;  // mean 1: flips cluster in a quarter of the items
    const int64_t n = 1 + random.below(4);
    double won = 0, lost = 0;
    for (int64_t a = 0; a < n; ++a) {
      const double u = random.uniform();
      if (u < tendency * p_won)
        ++won;
      else if (u < tendency * (p_won + p_lost))
        ++lost;
    }
    pair.flips.won.push_back(won);
    pair.flips.lost.push_back(lost);
    pair.n_answers.push_back(static_cast<double>(n));
  }
  return pair;
}

TEST(Simulation, AccuracyIntervalsCoverTheTruth) {
  Random random(11);
  const Bootstrap bootstrap(150, 1000, 3);
  int covered = 0;
  constexpr int kRuns = 1200;
  for (int run = 0; run < kRuns; ++run) {
    const FakePair pair = draw_pair(random, 150, 0.06, 0.03);
    const Interval i = difference_of(pair.flips, pair.n_answers, bootstrap);
    covered += i.low <= 0.03 && 0.03 <= i.high;
  }
  // Four standard errors of a binomial share below 95 %; the hull may only err to the safe side.
  EXPECT_GE(covered, kRuns * (0.95 - 4 * std::sqrt(0.95 * 0.05 / kRuns)));
  EXPECT_LE(covered, kRuns * 0.985);
}

TEST(Simulation, SkewedMeansAreCovered) {
  Random random(12);
  const Bootstrap bootstrap(100, 1000, 4);
  const std::vector<double> ones(100, 1.0);
  const double truth = std::exp(0.5 * 0.5 * 0.5);
  int covered = 0;
  constexpr int kRuns = 1500;
  for (int run = 0; run < kRuns; ++run) {
    std::vector<double> x(100);
    for (double& v : x) v = std::exp(0.5 * random.normal());
    const Interval i = bootstrap.ratio(x, ones);
    covered += i.low <= truth && truth <= i.high;
  }
  EXPECT_NEAR(covered, kRuns * 0.95, kRuns * 4 * std::sqrt(0.95 * 0.05 / kRuns));
}

TEST(Simulation, FewItemsStillCover) {
  Random random(13);
  const Bootstrap bootstrap(12, 2000, 4);
  const std::vector<double> ones(12, 1.0);
  int covered = 0;
  constexpr int kRuns = 1500;
  for (int run = 0; run < kRuns; ++run) {
    std::vector<double> x(12);
    for (double& v : x) v = random.normal();
    const Interval i = bootstrap.ratio(x, ones);
    covered += i.low <= 0 && 0 <= i.high;
  }
  EXPECT_NEAR(covered, kRuns * 0.95, kRuns * 4 * std::sqrt(0.95 * 0.05 / kRuns));
}

TEST(Simulation, FamiliesHoldFewFalseCalls) {
  Random random(14);
  const Bootstrap bootstrap(150, 1000, 5);
  constexpr int kRuns = 500, kComparisons = 6;
  int families_with_a_call = 0;
  for (int run = 0; run < kRuns; ++run) {
    std::vector<Difference> family;
    for (int c = 0; c < kComparisons; ++c) {
      const FakePair pair = draw_pair(random, 150, 0.04, 0.04);
      // No margin: every interval that excludes 0 would be called.
      family.push_back({difference_of(pair.flips, pair.n_answers, bootstrap), 0});
    }
    bool called = false;
    for (const Judgement& j : judge(family)) called = called || j.verdict != Verdict::not_enough_data;
    families_with_a_call += called;
  }
  EXPECT_LE(families_with_a_call, kRuns * (0.05 + 4 * std::sqrt(0.95 * 0.05 / kRuns)));
}

TEST(Simulation, AsManyItemsAsSaidSettleIt) {
  // A pilot of 100 items with true difference 3 points; the items it asks for must find it about 4 times
  // in 5.
  Random random(15);
  const FakePair pilot = draw_pair(random, 4000, 0.06, 0.03);
  const Bootstrap large(4000, 500, 6);
  const Interval seen = difference_of(pilot.flips, pilot.n_answers, large);
  const int64_t n = items_needed(seen, 0.03, 0.95);
  ASSERT_GT(n, 100);
  ASSERT_LT(n, 2000);
  const Bootstrap bootstrap(n, 500, 7);
  int found = 0;
  constexpr int kRuns = 400;
  for (int run = 0; run < kRuns; ++run) {
    const FakePair pair = draw_pair(random, n, 0.06, 0.03);
    const Difference difference{difference_of(pair.flips, pair.n_answers, bootstrap), 0.001};
    const Verdict verdict = judge({&difference, 1}).front().verdict;
    EXPECT_NE(verdict, Verdict::worse);
    found += verdict == Verdict::better;
  }
  EXPECT_NEAR(found, kRuns * 0.8, kRuns * 4 * std::sqrt(0.8 * 0.2 / kRuns));
}

TEST(Verdicts, FollowTheInterval) {
  const auto word = [](double low, double high, int64_t n_items = 500) {
    const Difference d{{(low + high) / 2, low, high, static_cast<double>(n_items - 1)}, 0.01};
    return judge({&d, 1}).front();
  };
  EXPECT_EQ(word(0.02, 0.05).verdict, Verdict::better);
  EXPECT_EQ(word(-0.05, -0.02).verdict, Verdict::worse);
  EXPECT_EQ(word(-0.006, 0.008).verdict, Verdict::tie);
  EXPECT_EQ(word(0.001, 0.004).verdict, Verdict::tie);  // measurable, and too small to matter
  EXPECT_EQ(word(0.001, 0.02).verdict, Verdict::better);
  const Judgement open = word(-0.03, 0.03);
  EXPECT_EQ(open.verdict, Verdict::not_enough_data);
  // Half-width 3 points, wanted: 1.96 + 1.645 errors (both ends inside in 90 of 100) within 1 point.
  EXPECT_NEAR(static_cast<double>(open.n_more_items), 500 * (std::pow(3.6048 * 3 / 1.96475, 2) - 1), 80);
  const Judgement few = word(0.02, 0.05, 8);
  EXPECT_EQ(few.verdict, Verdict::not_enough_data);
  EXPECT_GE(few.n_more_items, 12);
  EXPECT_EQ(to_string(Verdict::not_enough_data), "not enough data");
}

// How often two figures of n items, with means and deviations as given, end in a word.
double share_settled(int64_t n, double mean_a, double sd_a, double mean_b, double sd_b, int n_runs) {
  Random random(17);
  const std::vector<double> ones(static_cast<size_t>(n), 1.0);
  std::vector<double> a(ones), b(ones);
  int settled = 0;
  for (int run = 0; run < n_runs; ++run) {
    for (double& v : a) v = mean_a + sd_a * random.normal();
    for (double& v : b) v = mean_b + sd_b * random.normal();
    const Difference family[] = {{ratio_normal(a, ones), 0.01}, {ratio_normal(b, ones), 0.01}};
    const std::vector<Judgement> judged = judge(family);
    settled += combine(judged[0], judged[1]).verdict != Verdict::not_enough_data;
  }
  return static_cast<double>(settled) / n_runs;
}

// What 100 such items would show, exactly.
Difference seen(double mean, double sd) {
  const double arm = -student_quantile(0.025, 99) * sd / 10;
  return {{mean, mean - arm, mean + arm, 99}, 0.01};
}

TEST(Simulation, AsManyItemsAsSaidSettleTheWordOfTwoFigures) {
  constexpr int kRuns = 300;
  const double error = 4 * std::sqrt(0.8 * 0.2 / kRuns);
  // A difference in the second alone: one call is enough, the first need not settle anything.
  const Difference call[] = {seen(0, 0.4), seen(0.03, 0.15)};
  std::vector<Judgement> judged = judge(call);
  Word word = combine(judged[0], judged[1]);
  ASSERT_EQ(word.verdict, Verdict::not_enough_data);
  EXPECT_LT(word.n_more_items, judged[0].n_more_items / 10);
  const int64_t n_call = 100 + word.n_more_items;
  EXPECT_NEAR(share_settled(n_call, 0, 0.4, 0.03, 0.15, kRuns), 0.8, error);
  // No difference at all: both must tie, and the wider one says when.
  const Difference ties[] = {seen(0, 0.10), seen(0, 0.07)};
  judged = judge(ties);
  word = combine(judged[0], judged[1]);
  ASSERT_EQ(word.verdict, Verdict::not_enough_data);
  const int64_t n_tie = 100 + word.n_more_items;
  EXPECT_GE(share_settled(n_tie, 0, 0.10, 0, 0.07, kRuns), 0.8 - error);
  EXPECT_LE(share_settled(n_tie / 2, 0, 0.10, 0, 0.07, kRuns), 0.7);
}

TEST(Verdicts, OneFigureDecidesATieNeedsBoth) {
  const auto judgement = [](Verdict verdict, int64_t n_to_call, int64_t n_to_tie) {
    Judgement j;
    j.verdict = verdict;
    j.adjusted.degrees = 99;
    j.n_to_call = n_to_call;
    j.n_to_tie = n_to_tie;
    return j;
  };
  const Judgement tie = judgement(Verdict::tie, kNever, 0), better = judgement(Verdict::better, 0, kNever);
  const Judgement open = judgement(Verdict::not_enough_data, 400, 900);
  EXPECT_EQ(combine(better, open).verdict, Verdict::better);
  EXPECT_EQ(combine(open, better).verdict, Verdict::better);
  EXPECT_EQ(combine(tie, tie).verdict, Verdict::tie);
  EXPECT_EQ(combine(tie, open).n_more_items, 300);
  EXPECT_EQ(combine(judgement(Verdict::not_enough_data, kNever, 200), open).n_more_items, 300);
  EXPECT_EQ(combine(judgement(Verdict::not_enough_data, 5000, 700), judgement(Verdict::not_enough_data, 5000, 900))
                .n_more_items,
            800);
  const Judgement silent = judgement(Verdict::not_enough_data, kNever, kNever);
  EXPECT_EQ(combine(silent, tie).n_more_items, 0);  // no number of items
}

TEST(Accuracy, StaysWithinAHundredPoints) {
  const Bootstrap bootstrap(2, 500, 8);
  const Interval two = difference_of({{1, 0}, {0, 0}}, {1, 1}, bootstrap);
  EXPECT_GE(two.low, -1);
  EXPECT_LE(two.high, 1);
  const Bootstrap alone(1, 50, 8);
  const std::vector<double> one{1};
  const Interval single = accuracy_difference({{1}, {0}}, one, alone.ratio(one, one));
  EXPECT_EQ(single.low, -1);
  EXPECT_EQ(single.high, 1);
  EXPECT_EQ(accuracy_share(one, one, alone.ratio(one, one)).low, 0);
}

TEST(Verdicts, HolmWeighsTheWholeFamily) {
  // p about 0.02 alone is a call; among ten comparisons it is not, and its neighbours with none are not
  // either.
  const Difference single{{0.03, 0.005, 0.055, 999}, 0.001};
  EXPECT_EQ(judge({&single, 1}).front().verdict, Verdict::better);
  std::vector<Difference> family(10, Difference{{0.001, -0.03, 0.03, 999}, 0.001});
  family[4] = single;
  const std::vector<Judgement> judged = judge(family);
  EXPECT_EQ(judged[4].verdict, Verdict::not_enough_data);
  EXPECT_NEAR(judged[4].p_adjusted, 10 * judged[4].p, 1e-12);
}

TEST(Accuracy, NoFlipsIsNotCertainty) {
  const Bootstrap bootstrap(100, 500, 8);
  const std::vector<double> none(100, 0.0), ones(100, 1.0);
  const Interval difference = difference_of({none, none}, ones, bootstrap);
  EXPECT_EQ(difference.estimate, 0);
  EXPECT_LT(difference.low, -0.02);
  EXPECT_GT(difference.high, 0.02);
  EXPECT_LT(difference.high, 0.05);
  const Interval perfect = accuracy_share(ones, ones, bootstrap.ratio(ones, ones));
  EXPECT_EQ(perfect.estimate, 1);
  EXPECT_NEAR(perfect.low, 0.963, 0.002);  // Wilson
}

TEST(Accuracy, WholePromptsCountOnce) {
  // The same flips, ten answers to an item: intervals must be about sqrt(10) times wider than for loose
  // answers.
  Random random(16);
  std::vector<double> won(60), lost(60), n(60, 10.0), won1, lost1, n1(600, 1.0);
  for (size_t i = 0; i < 60; ++i) {
    const double side = random.uniform();
    won[i] = side < 0.2 ? 10 : 0;
    lost[i] = side > 0.8 ? 10 : 0;
    for (int a = 0; a < 10; ++a) {
      won1.push_back(won[i] / 10);
      lost1.push_back(lost[i] / 10);
    }
  }
  const Interval clustered = difference_of({won, lost}, n, Bootstrap(60, 2000, 9));
  const Interval loose = difference_of({won1, lost1}, n1, Bootstrap(600, 2000, 9));
  EXPECT_NEAR((clustered.high - clustered.low) / (loose.high - loose.low), std::sqrt(10.0), 0.4);
}

}  // namespace
}  // namespace carat
