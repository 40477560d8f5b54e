// Simulated scores whose truth is known: clustered as real ones are (answers and tokens of one item stand and
// fall together), so that what the judge promises can be counted. The tests take few of them,
// bench_eval_judge many.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "base/random.h"
#include "eval/assemble.h"
#include "eval/sample.h"
#include "eval/sequential.h"
#include "eval/statistics.h"

namespace carat::simulated {

// How one model differs from the common one.
struct Differences {
  double lost = 0.02, won = 0.02;  // shares of all answers that are right with the common model and not here,
                                   // and the other way round
  double nll = 0;                  // nats per answer token
  double noise = 0.05;             // spread of an item's NLL around that, per token
};

// Shares of right answers: the common model's, and with it each model's.
inline constexpr double kCommonAccuracy = 0.7;
inline double accuracy(const Differences& d, double common = kCommonAccuracy) {
  return common + d.won - d.lost;
}

// Items with 1 to 4 answers of 1 to 6 tokens. In a quarter of them four times as much changes, in the others
// nothing.
inline void add_items(LockstepScores& s, Random& random, int64_t n, const std::vector<Differences>& models,
                      double common_accuracy = kCommonAccuracy) {
  if (s.first_answer.empty()) {
    s.first_answer = s.first_token = {0};
    s.models.resize(models.size());
  }
  for (int64_t i = 0; i < n; ++i) {
    const int64_t answers = 1 + random.below(4);
    const double tokens = static_cast<double>(answers * (1 + random.below(6)));
    const double tendency = random.below(4) == 0 ? 4 : 0, difficulty = std::exp(0.6 * random.normal());
    s.n_answers.push_back(static_cast<double>(answers));
    s.n_tokens.push_back(tokens);
    s.n_answer_tokens.push_back(tokens);
    s.first_answer.push_back(s.first_answer.back() + answers);
    s.first_token.push_back(s.first_token.back() + static_cast<int64_t>(tokens));
    s.is_exact.insert(s.is_exact.end(), static_cast<size_t>(answers), 1);
    std::vector<uint8_t> common;
    for (int64_t a = 0; a < answers; ++a) common.push_back(random.uniform() < common_accuracy);
    for (size_t m = 0; m < models.size(); ++m) {
      const Differences& d = models[m];
      for (const uint8_t right : common) {
        const double change = right ? d.lost / common_accuracy : d.won / (1 - common_accuracy);
        s.models[m].correct.push_back(random.uniform() < tendency * change ? !right : right);
      }
      const double nll = tokens * (0.4 * difficulty + d.nll + d.noise * random.normal());
      s.models[m].nll.push_back(nll);
      s.models[m].answer_nll.push_back(nll);
      s.models[m].token_nll.insert(s.models[m].token_nll.end(), static_cast<size_t>(tokens),
                                   static_cast<float>(nll / tokens));
    }
  }
}

inline std::vector<size_t> all_items(const LockstepScores& s) {
  std::vector<size_t> items(static_cast<size_t>(s.n_items()));
  for (size_t i = 0; i < items.size(); ++i) items[i] = i;
  return items;
}

struct CoverageCase {
  std::string name;
  double truth;
  std::function<Interval(Random&)> draw;
  double lowest = 0.93, highest = 0.99;  // share of runs that the interval, which says 95 %, covers the truth
};

inline std::vector<CoverageCase> coverage_cases() {
  using Quantity = Sample::Quantity;
  constexpr int kResamples = 500;
  std::vector<CoverageCase> cases;

  // A mean per token over items of unequal length, with an effect of the item and a skewed one of the tokens.
  const auto ratio = [](Random& random, int64_t n, double skew, bool resampled) {
    static const Bootstrap b40(40, kResamples, 51), b200(200, kResamples, 52);
    std::vector<double> numerator, denominator;
    for (int64_t i = 0; i < n; ++i) {
      const double tokens = 1.0 + static_cast<double>(random.below(60));
      const double effect =
          skew > 0 ? std::exp(skew * random.normal()) - std::exp(skew * skew / 2) : 0.5 * random.normal();
      denominator.push_back(tokens);
      numerator.push_back(tokens * (1 + effect + 0.3 * random.normal() / std::sqrt(tokens)));
    }
    if (!resampled) return ratio_normal(numerator, denominator);
    return (n == 40 ? b40 : b200).ratio(numerator, denominator);
  };
  for (const bool resampled : {true, false})
    for (const int64_t n : {int64_t{40}, int64_t{200}}) {
      const std::string which = resampled ? "Bootstrap::ratio" : "ratio_normal";
      cases.push_back({which + ", " + std::to_string(n) + " items", 1,
                       [=](Random& r) { return ratio(r, n, 0, resampled); }});
      // Of 40 items with such a skew no interval of this kind knows the tail it has not seen.
      cases.push_back({which + ", skewed, " + std::to_string(n) + " items", 1,
                       [=](Random& r) { return ratio(r, n, 0.7, resampled); }, n == 40 ? 0.87 : 0.91});
    }
  cases.push_back({"Bootstrap::ratio at 99 %, 200 items", 1,
                   [=](Random& r) { return at_level(ratio(r, 200, 0, true), 0.99); }, 0.975, 1});

  const auto of_scores = [](Random& random, int64_t n, const std::vector<Differences>& models,
                            auto&& interval) {
    LockstepScores scores;
    add_items(scores, random, n, models);
    return interval(Sample(scores, all_items(scores), kResamples, 53, 1));
  };
  // Shares of right answers, and differences of two, with many flips and with few.
  for (const auto& [n, flips] : {std::pair{120, 0.05}, std::pair{120, 0.005}, std::pair{500, 0.01}}) {
    const Differences a{.lost = 1.5 * flips, .won = 0.5 * flips}, b{.lost = 0, .won = 0};
    cases.push_back({fmt::format("accuracy_difference, {} items, {:.1f} % flips", n, 200 * flips),
                     accuracy(a) - accuracy(b),
                     [=](Random& r) {
                       return of_scores(r, n, {a, b},
                                        [](const Sample& s) { return s.difference(Quantity::right, 0, 1); });
                     },
                     0.93, 1});
  }
  for (const double common : {0.5, 0.9, 0.98}) {
    const Differences a{.lost = 0.1 * common, .won = 0.1 * (1 - common)};
    cases.push_back({fmt::format("accuracy_share, 120 items, {:.0f} % right", 100 * accuracy(a, common)),
                     accuracy(a, common),
                     [=](Random& r) {
                       LockstepScores scores;
                       add_items(scores, r, 120, {a}, common);
                       return Sample(scores, all_items(scores), kResamples, 53, 1).mean(Quantity::right, 0);
                     },
                     0.93, 1});
  }
  // (a - base a) - (b - base b), and how much of the damage of b is not in a.
  const std::vector<Differences> four{{.lost = 0.03, .won = 0.02, .nll = 0.05},
                                      {.lost = 0.01, .won = 0.01, .nll = 0.01},
                                      {.lost = 0.06, .won = 0.02, .nll = 0.14},
                                      {.lost = 0.01, .won = 0.01, .nll = 0.0}};
  cases.push_back({"difference_of_differences, right answers, 200 items",
                   (accuracy(four[0]) - accuracy(four[1])) - (accuracy(four[2]) - accuracy(four[3])),
                   [=](Random& r) {
                     return of_scores(r, 200, four, [](const Sample& s) {
                       return s.difference_of_differences(Quantity::right, 0, 1, 2, 3);
                     });
                   },
                   0.93, 1});
  cases.push_back({"difference_of_differences, NLL, 200 items", (0.05 - 0.01) - (0.14 - 0.0), [=](Random& r) {
                     return of_scores(r, 200, four, [](const Sample& s) {
                       return s.difference_of_differences(Quantity::answer_nll, 0, 1, 2, 3);
                     });
                   }});
  cases.push_back({"recovery, NLL, 200 items", 1 - 0.04 / 0.14, [=](Random& r) {
                     return of_scores(r, 200, four, [](const Sample& s) {
                       return s.recovery(Quantity::answer_nll, 0, 1, 2, 3);
                     });
                   }});
  cases.push_back(
      {"recovery, right answers, 1000 items",
       1 - (accuracy(four[0]) - accuracy(four[1])) / (accuracy(four[2]) - accuracy(four[3])), [=](Random& r) {
         return of_scores(r, 1000, four,
                          [](const Sample& s) { return s.recovery(Quantity::right, 0, 1, 2, 3); });
       }});
  return cases;
}

// Share of `n_runs` intervals that cover the truth.
inline double coverage(const CoverageCase& c, int n_runs, uint64_t seed) {
  Random random(seed);
  int covered = 0;
  for (int i = 0; i < n_runs; ++i) {
    const Interval interval = c.draw(random);
    covered += interval.low <= c.truth && c.truth <= interval.high;
  }
  return static_cast<double>(covered) / n_runs;
}

// A parent and files quantized from it.
inline Plan plan_of(size_t n_files) {
  std::vector<ReportRow> rows;
  for (size_t f = 0; f <= n_files; ++f) {
    ReportRow row;
    row.name = f == 0 ? "parent" : fmt::format("file {}", f);
    row.file = static_cast<int>(f);
    row.is_parent = f == 0;
    row.parent = f == 0 ? -1 : 0;
    row.main_type = f == 0 ? TensorType::BF16 : TensorType::Q4_K;
    row.bytes = row.memory_bytes = 1000 - f;
    rows.push_back(row);
  }
  return make_plan(std::move(rows));
}

// Items that are only counted: their scores are made elsewhere.
class Blank : public ItemSource {
 public:
  std::string name() const override { return "simulated"; }
  int64_t n_left() const override { return kEndless; }
  Result<std::vector<SuiteItem>> more(int64_t n) override {
    return std::vector<SuiteItem>(static_cast<size_t>(n), SuiteItem{"all", {2, 3}, {{1, 2}}, 1});
  }
};

struct Outcome {
  bool false_call = false;  // any word in the table against the original that is wrong
  bool found = false;       // file 1 is called worse
  int64_t n_items = 0;
};

// One whole judgement: plan, scores, statistics, words. File 1 truly has `gap` fewer right answers than the
// parent, the others differ from it in flips that cancel out and in nothing else. `step`: until it is
// decided; otherwise all items at once.
inline Outcome judge_once(Random& random, size_t n_files, double gap, int64_t n_items, bool step,
                          int n_resamples) {
  const Plan plan = plan_of(n_files);
  std::vector<Differences> models{{.lost = 0, .won = 0, .noise = 0.01}};
  for (size_t f = 0; f < n_files; ++f) {
    const double shift = f == 0 ? gap / 2 : 0;
    models.push_back({.lost = 0.03 + shift, .won = 0.03 - shift});
  }
  const auto score = [&](const Suite& more) -> Result<LockstepScores> {
    LockstepScores scores;
    add_items(scores, random, static_cast<int64_t>(more.items.size()), models);
    const std::vector<double> none(more.items.size(), 0.0);
    const std::vector<float> no_tokens(static_cast<size_t>(scores.first_token.back()), 0.0f);
    scores.pairs.assign(plan.pairs.size(), {none, none, none, none, none, no_tokens});
    return scores;
  };
  const auto judge = [&](const Suite& suite, const LockstepScores& scores, double alpha) {
    return assemble(plan, suite, scores, {.n_resamples = n_resamples, .alpha = alpha, .n_ctx = 4096});
  };
  Blank source;
  EvalReport report;
  if (step) {
    const SequentialRun run =
        run_until_decided({.max_items = n_items}, 0.05, source, score, judge, [](int64_t) { return 0.0; }).take();
    report = judge(run.suite, run.scores, run.alpha);
  } else {
    Suite suite;
    suite.items = source.more(n_items).take();
    report = judge(suite, score(suite).take(), 0.05);
  }
  Outcome outcome;
  outcome.n_items = report.n_items;
  for (const Comparison& c : report.comparisons) {
    if (c.table != Comparison::Table::truth) continue;
    const bool differs = c.row == 1 && gap > 0;
    outcome.found = outcome.found || (differs && c.verdict == Verdict::worse);
    outcome.false_call =
        outcome.false_call || c.verdict == Verdict::better || (!differs && c.verdict == Verdict::worse);
  }
  return outcome;
}

}  // namespace carat::simulated
