// From scores to words: planted damage must be found, absent damage must not, and only rows that may be
// compared are.
#include "eval/assemble.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "eval/choice.h"
#include "eval/guards.h"
#include "eval/made_up.h"
#include "eval/sentences.h"

namespace carat {
namespace {

using Table = Comparison::Table;

int row_named(const EvalReport& report, const std::string& text) {
  for (int r = 0; r < static_cast<int>(report.rows.size()); ++r)
    if (label(report, r) == text) return r;
  ADD_FAILURE() << "no row " << text;
  return 0;
}

const EvalReport& shared_report() {
  static const EvalReport report = made_up::report();
  return report;
}

const Comparison& comparison(Table table, const std::string& row, const std::string& reference) {
  const EvalReport& report = shared_report();
  const Comparison* found = report.find(table, row_named(report, row), row_named(report, reference));
  CHECK(found != nullptr);
  return *found;
}

TEST(Plan, OnlyFairPairsAreCompared) {
  const Plan plan = make_plan(made_up::rows({TensorType::F16, TensorType::Q8_0}, true));
  EXPECT_EQ(plan.reference, 0);
  std::set<Table> tables;
  for (const PlannedComparison& c : plan.comparisons) {
    const ReportRow &a = plan.rows[static_cast<size_t>(c.row)],
                    &b = plan.rows[static_cast<size_t>(c.reference)];
    tables.insert(c.table);
    if (c.table == Table::own_parent) {
      EXPECT_EQ(a.family, b.family);
    }
    if (c.table == Table::own_parent) {
      EXPECT_EQ(b.kv, TensorType::F16);
    }
    if (c.table == Table::truth || c.table == Table::headline || c.table == Table::parents) {
      EXPECT_EQ(a.kv, b.kv);
    }
    if (c.table == Table::headline) {
      EXPECT_TRUE(a.family == Family::qat && b.family == Family::original);
    }
    if (c.table == Table::kv || c.table == Table::noise) {
      EXPECT_EQ(a.file, b.file);
    }
    if (c.table != Table::noise) {
      EXPECT_EQ(a.precision, b.precision);
    }
  }
  EXPECT_EQ(tables.size(), 6u);
  for (const ReferencePair& pair : plan.pairs) EXPECT_NE(pair.model, pair.reference);
}

TEST(Assemble, FiguresAreRatiosOfSums) {
  const Plan plan = make_plan(made_up::rows({TensorType::F16}, false));
  const Suite suite = made_up::suite(200);
  const LockstepScores scores = made_up::scores(plan, suite, 2);
  const EvalReport report = assemble(plan, suite, scores, {.n_resamples = 200});
  double nll = 0, answer_nll = 0, right = 0, kld = 0;
  for (size_t i = 0; i < 200; ++i) {
    nll += scores.models[3].nll[i];
    answer_nll += scores.models[3].answer_nll[i];
    right += scores.n_right(3)[i];
    kld += scores.pairs[static_cast<size_t>(plan.own_parent_pair[3])].kld[i];
  }
  const ReportRow& row = report.rows[3];
  EXPECT_NEAR(row.nll.estimate, nll / (200 * 29), 1e-12);
  EXPECT_NEAR(row.nll_gap->estimate, (nll - 200 * 20) / (200 * 29), 1e-12);
  EXPECT_NEAR(row.answer_nll.estimate, answer_nll / 1000, 1e-12);
  EXPECT_NEAR(row.accuracy.estimate, right / 400, 1e-12);
  EXPECT_NEAR(row.divergence->kld_mean.estimate, kld / (200 * 29), 1e-12);
  EXPECT_EQ(row.categories.size(), 5u);
  EXPECT_LT(row.accuracy.low, row.accuracy.estimate);
  EXPECT_EQ(report.suite_hash.size(), 16u);
  EXPECT_EQ(report.n_answers, 400);
  EXPECT_FALSE(report.rows[0].divergence.has_value());
}

TEST(Assemble, PlantedDamageGetsItsWord) {
  EXPECT_EQ(comparison(Table::truth, "lab-s-q4_0", "lab-s-f32").verdict, Verdict::worse);
  EXPECT_EQ(comparison(Table::truth, "lab-s-q8_0", "lab-s-f32").verdict, Verdict::tie);
  EXPECT_EQ(comparison(Table::headline, "lab-s-qat-q4_0", "lab-s-q4_0").verdict, Verdict::better);
  EXPECT_EQ(comparison(Table::own_parent, "lab-s-q4_0 (KV Q8_0)", "lab-s-f32").verdict, Verdict::worse);
  EXPECT_EQ(comparison(Table::kv, "lab-s-f32 (KV Q8_0)", "lab-s-f32").verdict, Verdict::worse);
  EXPECT_EQ(comparison(Table::kv, "lab-s-qat-q4_0 (KV Q8_0)", "lab-s-qat-q4_0").verdict, Verdict::tie);
  EXPECT_EQ(comparison(Table::noise, "lab-s-q8_0 (fast engine)", "lab-s-q8_0").verdict, Verdict::tie);
  const Comparison& parents = comparison(Table::parents, "lab-s-qat-master", "lab-s-f32");
  EXPECT_TRUE(parents.divergence && parents.reverse_divergence);
}

TEST(Assemble, SentencesNameBothAndSayTheWord) {
  const Comparison& c = comparison(Table::headline, "lab-s-qat-q4_0", "lab-s-q4_0");
  EXPECT_TRUE(c.sentence.starts_with("lab-s-qat-q4_0 is better than lab-s-q4_0: ")) << c.sentence;
  EXPECT_NE(c.sentence.find("more right answers per 100"), std::string::npos) << c.sentence;
  EXPECT_NE(comparison(Table::truth, "lab-s-q8_0", "lab-s-f32").sentence.find(" ties with "),
            std::string::npos);
  EXPECT_EQ(format_count(1234567), "1 234 567");
  EXPECT_EQ(format_count(-12), "-12");
  EXPECT_EQ(format_bytes(4790000000u), "4.79 GB");
}

TEST(Assemble, RecoveryIsCorrectedByTheControl) {
  // Planted: control 0.04 - (-0.02) = 0.06 of damage, QAT -0.014: 0.006 above the control's own: 90 %
  // removed. Against the parent: 1 - (-0.014) / 0.06 = 123 %.
  const EvalReport& report = shared_report();
  const auto found = std::find_if(report.recoveries.begin(), report.recoveries.end(),
                                  [](const Recovery& r) { return r.metric == "answer_nll"; });
  ASSERT_NE(found, report.recoveries.end());
  EXPECT_EQ(label(report, found->qat), "lab-s-qat-q4_0");
  ASSERT_TRUE(found->honest_defined && found->naive_defined);
  EXPECT_NEAR(found->honest->estimate, 0.90, 0.01);
  EXPECT_NEAR(found->naive->estimate, 1.233, 0.01);
  EXPECT_LE(found->honest->low, found->honest->estimate);
  EXPECT_NE(sentence_of(report, *found).find("measured against the control"), std::string::npos);
}

TEST(Assemble, WinsCountPrompts) {
  const EvalReport& report = shared_report();
  const Divergence& d = *report.rows[static_cast<size_t>(row_named(report, "lab-s-q8_0"))].divergence;
  EXPECT_EQ(label(report, d.wins_over), "lab-s-q5_1");
  EXPECT_EQ(d.n_prompts, 1500);
  EXPECT_GT(d.wins, 1400);
}

TEST(Assemble, TooFewItemsAreNotCalled) {
  const EvalReport report = made_up::report(false, 15);
  for (const Comparison& c : report.comparisons) {
    EXPECT_EQ(c.verdict, Verdict::not_enough_data) << c.sentence;
    EXPECT_GE(c.n_more_items, 5);
    EXPECT_NE(c.sentence.find("more items would settle it"), std::string::npos);
  }
  const std::vector<Warning> warnings = guard_results(report);
  EXPECT_TRUE(std::any_of(warnings.begin(), warnings.end(),
                          [](const Warning& w) { return w.id == "too-few-items"; }));
}

TEST(Assemble, IsDeterministic) {
  const EvalReport a = made_up::report(false, 100), b = made_up::report(false, 100);
  ASSERT_EQ(a.comparisons.size(), b.comparisons.size());
  for (size_t i = 0; i < a.comparisons.size(); ++i)
    EXPECT_EQ(a.comparisons[i].sentence, b.comparisons[i].sentence);
}

TEST(Choice, BudgetsParse) {
  const auto budget = parse_budget("ram=16G,vram=8G,ctx=32k");
  ASSERT_TRUE(budget.has_value());
  EXPECT_EQ(budget->ram_bytes, uint64_t{16} << 30);
  EXPECT_EQ(budget->vram_bytes, uint64_t{8} << 30);
  EXPECT_EQ(budget->n_ctx, 32768);
  EXPECT_EQ(parse_budget("ram=1.5GiB")->ram_bytes, uint64_t{3} << 29);
  EXPECT_TRUE(parse_budget("").has_value());
  for (const char* wrong :
       {"ram", "ram=", "ram=x", "ram=-1G", "ram=1Q", "disk=1G", "ram=1e40G", "ram=0", "ram=nan"})
    EXPECT_FALSE(parse_budget(wrong).has_value()) << wrong;
}

TEST(Choice, TheFrontHoldsWhatNothingBeats) {
  const EvalReport& report = shared_report();
  std::set<int> shown;
  bool qat_on_front = false;
  for (const ParetoPoint& p : report.pareto) {
    const ReportRow& row = report.rows[static_cast<size_t>(p.row)];
    EXPECT_NE(row.family, Family::control);
    EXPECT_EQ(row.precision, Precision::exact);
    shown.insert(p.row);
    qat_on_front = qat_on_front || (row.name == "lab-s-qat-q4_0" && p.on_front);
    if (row.name == "lab-s-nvfp4") {
      EXPECT_FALSE(p.on_front);  // as large as Q4_0 and worse
    }
  }
  EXPECT_TRUE(qat_on_front);
  EXPECT_EQ(shown.size(), report.pareto.size());
}

TEST(Choice, RecommendsWhatFits) {
  const EvalReport& report = shared_report();
  ASSERT_TRUE(report.recommendation.has_value());
  const Recommendation& best = *report.recommendation;
  for (const int row : best.fitting) EXPECT_LE(report.rows[static_cast<size_t>(row)].memory_bytes, 1000000u);
  EXPECT_EQ(report.rows[static_cast<size_t>(best.row)].name, "lab-s-qat-q4_0") << best.sentence;
}

TEST(Guards, ReadingMistakesAreNamed) {
  EvalReport report = shared_report();
  const auto has = [](const std::vector<Warning>& warnings, const char* id) {
    return std::any_of(warnings.begin(), warnings.end(), [&](const Warning& w) { return w.id == id; });
  };
  EXPECT_TRUE(has(guard_results(report), "perplexity-across-parents"));
  EXPECT_FALSE(has(guard_results(report), "saturated"));
  report.rows[0].categories[2].accuracy.estimate = 0.995;
  EXPECT_TRUE(has(guard_results(report), "saturated"));
}

}  // namespace
}  // namespace carat
