// Sequential judgements: nothing scored twice, looks where they should be, and the promise on false calls and
// power, by simulation.
#include "eval/sequential.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/random.h"
#include "eval/statistics.h"

namespace carat {
namespace {

// Items that know their number: their second token.
Suite numbered(int64_t begin, int64_t end) {
  Suite suite;
  suite.name = "numbered";
  for (int64_t i = begin; i < end; ++i)
    suite.items.push_back({"all", {2, static_cast<Token>(i), 3}, {{2, 3}}, 1});
  return suite;
}

class Endless : public ItemSource {
 public:
  std::string name() const override { return "endless"; }
  int64_t n_left() const override { return kEndless; }
  Result<std::vector<SuiteItem>> more(int64_t n) override {
    next_ += n;
    return numbered(next_ - n, next_).items;
  }

 private:
  int64_t next_ = 0;
};

EvalReport with_open(int64_t n_open) {
  EvalReport report;
  for (int64_t i = 0; i < n_open; ++i) report.comparisons.push_back({.table = Comparison::Table::truth});
  return report;
}

struct Steps {
  std::vector<int64_t> batches;
  Result<SequentialRun> result;
};

// The words stay open until `decided_at` items.
Steps run(ItemSource& source, const SequentialOptions& options, int64_t decided_at,
        double seconds_per_item = 0) {
  std::vector<int64_t> batches;
  std::vector<Token> seen;
  double clock = 0;
  const auto score = [&](const Suite& more) -> Result<LockstepScores> {
    batches.push_back(static_cast<int64_t>(more.items.size()));
    clock += seconds_per_item * static_cast<double>(more.items.size());
    for (const SuiteItem& item : more.items) {
      EXPECT_EQ(std::find(seen.begin(), seen.end(), item.tokens[1]), seen.end()) << "scored twice";
      seen.push_back(item.tokens[1]);
    }
    return empty_scores(more, 1, 0);
  };
  const auto judge = [&](const Suite& suite, const LockstepScores& scores, double alpha) {
    EXPECT_EQ(static_cast<int64_t>(suite.items.size()), scores.n_items());
    EXPECT_EQ(suite.items.size(), seen.size());
    EXPECT_GT(alpha, 0);
    return with_open(scores.n_items() >= decided_at ? 0 : 2);
  };
  auto result = run_until_decided(options, 0.05, source, score, judge, [&](int64_t) { return clock; });
  return {batches, std::move(result)};
}

double total_alpha(const SequentialRun& run) {
  double total = 0;
  for (const Look& look : run.looks) total += look.alpha;
  return total;
}

TEST(Sequential, DoublesUntilTheLimit) {
  Endless source;
  const Steps r = run(source, {.max_items = 1600}, 1 << 30);
  const SequentialRun done = *r.result;
  EXPECT_EQ(r.batches, (std::vector<int64_t>{100, 100, 200, 400, 800}));
  EXPECT_EQ(done.suite.items.size(), 1600u);
  EXPECT_EQ(done.suite.name, "endless");
  EXPECT_NEAR(total_alpha(done), 0.05, 1e-12);
  EXPECT_NEAR(done.alpha, 0.05 * 0.75, 1e-12);
  EXPECT_EQ(done.looks.back().n_open, 2);
}

TEST(Sequential, StopsWhenEveryWordIsSaid) {
  Endless source;
  const SequentialRun done = *run(source, {.max_items = 1600}, 350).result;
  EXPECT_EQ(done.suite.items.size(), 400u);
  EXPECT_EQ(done.looks.size(), 3u);
  EXPECT_EQ(done.looks.back().n_open, 0);
  EXPECT_LT(total_alpha(done), 0.05 / 15);  // a sixteenth of it: a quarter of the items
}

TEST(Sequential, TakesAllOfASuiteThatEnds) {
  SuiteSource source(numbered(0, 250), 1);
  const Steps r = run(source, {.max_items = 1600}, 1 << 30);
  EXPECT_EQ(r.batches, (std::vector<int64_t>{125, 125}));
  EXPECT_NEAR(total_alpha(*r.result), 0.05, 1e-12);
  SuiteSource small(numbered(0, 30), 1);
  EXPECT_EQ(run(small, {.budget_seconds = 100}, 1 << 30).batches, (std::vector<int64_t>{30}));
  SuiteSource empty(numbered(0, 0), 1);
  EXPECT_FALSE(run(empty, {.max_items = 100}, 1).result.has_value());
}

TEST(Sequential, EndsWithTheTime) {
  Endless source;
  const Steps r = run(source, {.budget_seconds = 100}, 1 << 30, 0.1);  // 1000 items
  const SequentialRun done = *r.result;
  EXPECT_NEAR(static_cast<double>(done.suite.items.size()), 1000, 100);
  EXPECT_NEAR(total_alpha(done), 0.05, 1e-12);
  Endless slow;
  const SequentialRun once =
      *run(slow, {.budget_seconds = 1}, 1 << 30, 0.1).result;  // the first look is beyond the budget
  EXPECT_EQ(once.looks.size(), 1u);
  EXPECT_NEAR(once.alpha, 0.05, 1e-12);
}

TEST(Sequential, ShuffledSuitesLoseNothing) {
  SuiteSource a(numbered(0, 100), 1), b(numbered(0, 100), 1), c(numbered(0, 100), 2);
  const auto first = a.more(60).take(), rest = a.more(100).take(), at_once = b.more(100).take(),
             other = c.more(100).take();
  ASSERT_EQ(first.size() + rest.size(), 100u);
  EXPECT_EQ(a.n_left(), 0);
  EXPECT_TRUE(a.more(10).take().empty());
  std::vector<bool> seen(100);
  bool differs = false;
  for (size_t i = 0; i < 100; ++i) {
    const SuiteItem& item = i < 60 ? first[i] : rest[i - 60];
    EXPECT_EQ(item.tokens, at_once[i].tokens);
    differs = differs || item.tokens != other[i].tokens;
    seen[static_cast<size_t>(item.tokens[1])] = true;
  }
  EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](bool s) { return s; }));
  EXPECT_TRUE(differs);
}

TEST(ErrorSpending, GivesOutNoMoreThanThereIs) {
  ErrorSpending spending(0.05);
  EXPECT_NEAR(spending.spend(0.5), 0.0125, 1e-15);
  EXPECT_EQ(spending.spend(0.4), 0);  // time does not go back
  EXPECT_NEAR(spending.spend(0.8), 0.05 * 0.64 - 0.0125, 1e-15);
  EXPECT_NEAR(spending.spend(3), 0.05 * 0.36, 1e-15);
  EXPECT_NEAR(spending.spent(), 0.05, 1e-15);
}

// Two figures of one pair, as the judge has them: flips of clustered answers, and the NLL of an item.
struct Pair {
  Flips flips;
  std::vector<double> n_answers, nll, n_tokens;

  void grow(Random& random, int64_t n, double won, double lost, double nll_shift) {
    for (int64_t i = 0; i < n; ++i) {
      const double tendency = random.uniform() < 0.25 ? 4.0 : 0.0;  // flips gather in a quarter of the items
      const int64_t answers = 1 + random.below(3);
      double w = 0, l = 0;
      for (int64_t a = 0; a < answers; ++a) {
        const double u = random.uniform();
        w += u < tendency * won;
        l += u >= tendency * won && u < tendency * (won + lost);
      }
      flips.won.push_back(w);
      flips.lost.push_back(l);
      n_answers.push_back(static_cast<double>(answers));
      const double tokens = 2.0 + static_cast<double>(random.below(40));
      n_tokens.push_back(tokens);
      nll.push_back(tokens * (nll_shift + 0.05 * random.normal() / std::sqrt(tokens)) +
                    0.1 * random.normal());
    }
  }
};

// One judgement of `n_pairs` pairs that is decided step by step. Of the first pair the first file truly has
// `gap` fewer right answers; the others do not differ.
struct Outcome {
  bool false_call = false, found = false;
  int64_t n_items = 0;
};

Outcome judge_once(Random& random, int n_pairs, double gap, int64_t max_items,
                   const std::map<int64_t, Bootstrap>& bootstraps) {
  std::vector<Pair> pairs(static_cast<size_t>(n_pairs));
  Outcome outcome;
  Endless source;
  const auto score = [&](const Suite& more) -> Result<LockstepScores> {
    for (size_t p = 0; p < pairs.size(); ++p) {
      const double shift = p == 0 ? gap : 0;
      pairs[p].grow(random, static_cast<int64_t>(more.items.size()), 0.05 - shift / 2, 0.05 + shift / 2, 0);
    }
    return empty_scores(more, 1, 0);
  };
  const auto judge_them = [&](const Suite& suite, const LockstepScores&, double alpha) {
    const auto n = static_cast<int64_t>(suite.items.size());
    const Bootstrap& bootstrap = bootstraps.at(n);
    std::vector<Difference> family;
    for (const Pair& p : pairs) {
      family.push_back(
          {accuracy_difference(p.flips, p.n_answers, bootstrap.ratio(p.flips.net(), p.n_answers)), 0.01});
      family.push_back({bootstrap.ratio(p.nll, p.n_tokens), 0.01});
    }
    const std::vector<Judgement> judged = judge(family, alpha);
    EvalReport report;
    outcome = {};
    outcome.n_items = n;
    for (size_t p = 0; p < pairs.size(); ++p) {
      const Word word = combine(judged[2 * p], judged[2 * p + 1]);
      Comparison c{.table = Comparison::Table::truth};
      c.verdict = word.verdict;
      report.comparisons.push_back(c);
      const bool differs = p == 0 && gap > 0;
      outcome.found = outcome.found || (differs && word.verdict == Verdict::worse);
      outcome.false_call = outcome.false_call || word.verdict == Verdict::better ||
                           (!differs && word.verdict == Verdict::worse);
    }
    return report;
  };
  EXPECT_TRUE(run_until_decided({.max_items = max_items}, 0.05, source, score, judge_them, [](int64_t) {
                return 0.0;
              }).has_value());
  return outcome;
}

std::map<int64_t, Bootstrap> bootstraps_for(int64_t max_items) {
  std::map<int64_t, Bootstrap> all;
  for (int64_t n = max_items; n >= 96; n = (n + 1) / 2) all.emplace(n, Bootstrap(n, 400, 21));
  return all;
}

TEST(SequentialSimulation, FewFalseCallsOverAllLooks) {
  Random random(31);
  constexpr int kRuns = 400;
  constexpr int64_t kItems = 800;
  const auto bootstraps = bootstraps_for(kItems);
  int false_calls = 0;
  for (int i = 0; i < kRuns; ++i) false_calls += judge_once(random, 3, 0, kItems, bootstraps).false_call;
  EXPECT_LE(false_calls, kRuns * (0.05 + 3 * std::sqrt(0.05 * 0.95 / kRuns)));
}

TEST(SequentialSimulation, FindsWhatItPromises) {
  Random random(32);
  // The items with which the last look's allowance finds a gap of 3 points in 80 %, by what a large sample
  // shows.
  Pair pilot;
  pilot.grow(random, 4000, 0.035, 0.065, 0);
  const Bootstrap large(4000, 400, 22);
  const Interval seen =
      accuracy_difference(pilot.flips, pilot.n_answers, large.ratio(pilot.flips.net(), pilot.n_answers));
  const int64_t needed = items_needed(seen, 0.03, 1 - 0.75 * 0.05 / 2);  // two figures: Holm's first step
  ASSERT_GT(needed, 400);
  ASSERT_LT(needed, 3000);
  const int64_t n = (needed + 15) / 16 * 16;
  const auto bootstraps = bootstraps_for(n);
  constexpr int kRuns = 200;
  int found = 0, wrong = 0;
  double items = 0;
  for (int i = 0; i < kRuns; ++i) {
    const Outcome o = judge_once(random, 1, 0.03, n, bootstraps);
    found += o.found;
    wrong += o.false_call;
    items += static_cast<double>(o.n_items) / kRuns;
  }
  EXPECT_GE(found, kRuns * (0.8 - 3 * std::sqrt(0.8 * 0.2 / kRuns)));
  EXPECT_LE(wrong, 3);
  EXPECT_LT(items, 0.9 * static_cast<double>(n));  // and often sooner
}

}  // namespace
}  // namespace carat
