// From scores to words: planted damage must be found, absent damage must not, and only rows that may be
// compared are.
#include "eval/assemble.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <set>

#include "eval/choice.h"
#include "eval/contrasts.h"
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
  EXPECT_EQ(format_count(std::numeric_limits<int64_t>::min()), "-9 223 372 036 854 775 808");
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

TEST(Assemble, NoDamageNoRecovery) {
  // Quantization that helps, beyond doubt, is no damage of which QAT could remove a share.
  const Plan plan = make_plan(made_up::rows({TensorType::F16}, false));
  const Suite suite = made_up::suite(300);
  LockstepScores scores = made_up::scores(plan, suite, 2);
  std::swap(scores.models[7], scores.models[8]);  // the control and its Q4_0
  std::swap(scores.models[0], scores.models[3]);  // the original and its Q4_0
  const EvalReport report = made_up::judged(plan, suite, scores);
  ASSERT_FALSE(report.recoveries.empty());
  for (const Recovery& r : report.recoveries) {
    EXPECT_TRUE(r.honest && r.naive);
    EXPECT_FALSE(r.honest_defined || r.naive_defined) << sentence_of(report, r);
  }
}

// The made-up family with a second twin (rows 9, 10) and, if wanted, a second control (rows 11, 12): copies of the
// first with seeds of their own.
struct Twins {
  EvalReport report;
  LockstepScores scores;

  Twins(int first_twin, int second_twin, int first_control, int second_control = -1) {
    const Plan plan = make_plan(made_up::rows({TensorType::F16}, false));
    scores = made_up::scores(plan, made_up::suite(100), 2);
    report.rows = plan.rows;
    report.reference = 0;
    report.n_answers = 200;
    for (const int r : {5, 6}) copy(r, second_twin);
    if (second_control >= 0)
      for (const int r : {7, 8}) copy(r, second_control);
    for (const int r : {5, 6}) report.rows[static_cast<size_t>(r)].seed = first_twin;
    for (const int r : {7, 8}) report.rows[static_cast<size_t>(r)].seed = first_control;
  }
  void copy(int from, int seed) {
    ReportRow row = report.rows[static_cast<size_t>(from)];
    row.file = static_cast<int>(report.rows.size());
    if (!row.is_parent) row.parent = row.file - 1;
    row.seed = seed;
    report.rows.push_back(row);
    scores.models.push_back(scores.models[static_cast<size_t>(from)]);
  }
  // Of the NLL of the answers of a twin's Q4_0.
  Recovery recovery(int row) const {
    std::vector<size_t> items(100);
    std::iota(items.begin(), items.end(), size_t{0});
    for (const Recovery& r : recoveries(report, Sample(scores, items, 100, 1, 1)))
      if (r.qat == row && r.metric == "answer_nll") return r;
    ADD_FAILURE() << "no recovery of row " << row;
    return {};
  }
};

TEST(Recovery, PairsTwinAndControlBySeed) {
  using enum Recovery::Pairing;
  const Twins by_seed(1, 2, 2, 1);
  EXPECT_EQ(by_seed.recovery(6).pairing, same_seed);
  EXPECT_EQ(by_seed.recovery(6).control, 11);
  EXPECT_EQ(by_seed.recovery(10).control, 7);
  EXPECT_TRUE(by_seed.recovery(10).honest.has_value());

  const Twins one_control(1, 2, 1);
  EXPECT_EQ(one_control.recovery(6).pairing, same_seed);
  EXPECT_EQ(one_control.recovery(10).pairing, only_one);
  EXPECT_TRUE(one_control.recovery(10).honest.has_value());
  EXPECT_NE(sentence_of(one_control.report, one_control.recovery(10)).find("the only control"), std::string::npos);
}

TEST(Recovery, DoesNotGuessAControl) {
  // Seeds that nobody stated, a seed that two controls share, and a twin whose seed no control has.
  for (const Twins& twins : {Twins(0, 0, 0, 0), Twins(1, 1, 1, 1), Twins(1, 3, 2, 4)}) {
    const Recovery recovery = twins.recovery(10);
    EXPECT_EQ(recovery.pairing, Recovery::Pairing::ambiguous);
    EXPECT_FALSE(recovery.honest.has_value());
    EXPECT_EQ(recovery.control, -1);
    EXPECT_NE(sentence_of(twins.report, recovery).find("of several controls not exactly one"), std::string::npos);
  }
}

TEST(CacheEffects, AreDifferencesOfDifferences) {
  // Planted: a Q8_0 cache costs QAT files 0.001 nat and others 0.03.
  const EvalReport& report = shared_report();
  ASSERT_EQ(report.cache_effects.size(), 2u);
  const CacheEffect& e = report.cache_effects[1];
  EXPECT_EQ(label(report, e.qat), "lab-s-qat-q4_0 (KV Q8_0)");
  EXPECT_EQ(label(report, e.original), "lab-s-q4_0 (KV Q8_0)");
  EXPECT_EQ(label(report, e.original_base), "lab-s-q4_0");
  EXPECT_EQ(label(report, report.cache_effects[0].original), "lab-s-f32 (KV Q8_0)");
  const auto row = [&](int r) { return report.rows[static_cast<size_t>(r)]; };
  const auto change = [&](auto figure) {
    return (figure(row(e.qat)) - figure(row(e.qat_base))) - (figure(row(e.original)) - figure(row(e.original_base)));
  };
  EXPECT_NEAR(e.nll.estimate, change([](const ReportRow& r) { return r.answer_nll.estimate; }), 1e-12);
  EXPECT_NEAR(e.accuracy.estimate, change([](const ReportRow& r) { return r.accuracy.estimate; }), 1e-12);
  EXPECT_NEAR(e.nll.estimate, -0.029, 0.001);
  EXPECT_EQ(e.verdict, Verdict::better);
  EXPECT_NE(e.sentence.find("suffers less from a Q8_0 cache than lab-s-q4_0"), std::string::npos) << e.sentence;
  // Paired by item: much narrower than the four means would allow.
  EXPECT_LT(e.nll.high - e.nll.low, 0.2 * (row(e.qat).answer_nll.high - row(e.qat).answer_nll.low));
}

TEST(CacheEffects, NoChangeIsNotCertainty) {
  const Plan plan = make_plan(made_up::rows({TensorType::F16, TensorType::Q8_0}, false));
  const Suite suite = made_up::suite(100);
  LockstepScores scores = made_up::scores(plan, suite, 2);
  for (size_t r = 0; r < 9; ++r) scores.models[9 + r] = scores.models[r];
  const EvalReport report = made_up::judged(plan, suite, scores);
  for (const CacheEffect& e : report.cache_effects) {
    EXPECT_EQ(e.accuracy.estimate, 0);
    EXPECT_LT(e.accuracy.low, -0.01);
    EXPECT_GT(e.accuracy.high, 0.01);
  }
}

TEST(Assemble, EqualDivergencesAreNoLosses) {
  const Plan plan = make_plan(made_up::rows({TensorType::F16}, false));
  const Suite suite = made_up::suite(40);
  LockstepScores scores = made_up::scores(plan, suite, 2);
  const auto pair = [&](size_t r) { return static_cast<size_t>(plan.own_parent_pair[r]); };
  scores.pairs[pair(4)] = scores.pairs[pair(3)];
  scores.pairs[pair(4)].kld[7] *= 2;
  const EvalReport report = made_up::judged(plan, suite, scores);
  const Divergence& d = *report.rows[3].divergence;
  ASSERT_EQ(d.wins_over, 4);
  EXPECT_EQ(d.wins, 1);
  EXPECT_EQ(d.n_prompts, 1);
  EXPECT_EQ(d.n_equal, 39);
}

TEST(Assemble, CategoriesAreOneFamilyPerTable) {
  const EvalReport& report = shared_report();
  std::vector<double> p;
  std::vector<const CategoryComparison*> cells;
  for (const Comparison& c : report.comparisons) {
    if (c.table != Table::truth || report.rows[static_cast<size_t>(c.row)].kv != TensorType::F16) continue;
    for (const CategoryComparison& category : c.categories) {
      p.push_back(category.judgement.p);
      cells.push_back(&category);
    }
  }
  ASSERT_EQ(cells.size(), 8u * 5u);
  const std::vector<double> adjusted = holm(p);
  for (size_t i = 0; i < cells.size(); ++i) EXPECT_DOUBLE_EQ(cells[i]->judgement.p_adjusted, adjusted[i]);
}

TEST(Assemble, AReferenceThatGuessesProvesNothing) {
  const Plan plan = make_plan(made_up::rows({TensorType::F16}, false));
  const Suite suite = made_up::suite(400);
  LockstepScores scores = made_up::scores(plan, suite, 2);
  const auto warned = [](const EvalReport& report) {
    const std::vector<Warning> warnings = guard_results(report);
    return std::any_of(warnings.begin(), warnings.end(), [](const Warning& w) { return w.id == "near-chance"; });
  };
  EXPECT_FALSE(warned(made_up::judged(plan, suite, scores, {.n_vocab = 256})));
  LockstepScores guesses = scores;
  for (double& nll : guesses.models[0].answer_nll) nll = 5 * 0.92 * std::log(256);
  EXPECT_TRUE(warned(made_up::judged(plan, suite, guesses, {.n_vocab = 256})));

  for (ModelScores& m : scores.models) std::fill(m.correct.begin(), m.correct.end(), uint8_t{0});
  const EvalReport report = made_up::judged(plan, suite, scores);
  EXPECT_TRUE(report.near_chance && warned(report));
  for (const Comparison& c : report.comparisons) {
    EXPECT_EQ(c.accuracy_judgement.verdict, Verdict::not_enough_data);
    EXPECT_NE(c.verdict, Verdict::tie) << c.sentence;
    if (c.verdict == Verdict::not_enough_data) {
      EXPECT_EQ(c.sentence.find("About "), std::string::npos) << c.sentence;
      EXPECT_NE(c.sentence.find("would not settle it"), std::string::npos) << c.sentence;
    }
  }
}

TEST(Sentences, SayWhatTheOtherFigureSays) {
  EvalReport report = made_up::report(false, 40);
  Comparison c = report.comparisons.front();
  const auto words = [&](Verdict accuracy, double points, Verdict nll, double nats, Verdict verdict) {
    c.accuracy_judgement.verdict = accuracy;
    c.accuracy.estimate = points;
    c.nll_judgement.verdict = nll;
    c.answer_nll.estimate = nats;
    c.verdict = verdict;
    return sentence_of(report, c);
  };
  using enum Verdict;
  const auto says = [](const std::string& sentence, const char* part) {
    EXPECT_NE(sentence.find(part), std::string::npos) << sentence;
    EXPECT_EQ(sentence.find("not yet"), std::string::npos) << sentence;
  };
  says(words(not_enough_data, 0.01, better, -0.1, better), "exact match points the same way, but is open");
  says(words(not_enough_data, -0.01, better, -0.1, better), "exact match points the other way, but is open");
  says(words(not_enough_data, 0, worse, 0.1, worse), "exact match is even, but open");
  says(words(tie, 0.001, worse, 0.1, worse), "exact match ties");
  says(words(worse, -0.1, not_enough_data, -0.1, worse), "the NLL points the other way, but is open");
  says(words(worse, -0.1, better, -0.1, worse), "contradict each other");
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
  EXPECT_EQ(parse_budget("ram=8G,vram=0")->vram_bytes, 0u);  // no graphics card
  EXPECT_EQ(parse_budget("ctx=4096")->n_ctx, 4096);
  for (const char* wrong :
       {"ram", "ram=", "ram=x", "ram=-1G", "ram=1Q", "disk=1G", "ram=1e40G", "ram=0", "ram=nan", "ram=inf",
        "ram=99999999999G", "ram=0.5", "ctx=0", "ctx=32kB", "ctx=1e10", "ram=1G,", ",ram=1G", "ram=1G,,ctx=2k",
        "ram=1G,ram=2G", "ram=1i", "vram=-1"})
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

// The word of a row against another in the tables; nothing where they were not compared.
std::optional<Verdict> table_word(const EvalReport& report, int row, int other) {
  for (const Table table : {Table::truth, Table::headline})
    if (const Comparison* c = report.find(table, row, other)) return c->verdict;
  return std::nullopt;
}

TEST(Choice, OnlyAVerdictPushesAFileOffTheFront) {
  // Too few items for any: everything stays, whatever the point estimates say.
  const EvalReport few = made_up::report(false, 15);
  for (const ParetoPoint& p : few.pareto) EXPECT_TRUE(p.on_front) << label(few, p.row);
  // With enough of them: what ties with a file that is neither larger nor slower, and beaten in one, leaves.
  const EvalReport& report = shared_report();
  for (const ParetoPoint& p : report.pareto) {
    const std::string name = label(report, p.row);
    if (name == "lab-s-f32") {
      EXPECT_FALSE(p.on_front);  // Q8_0 ties with it and is smaller and faster
    }
  }
}

TEST(Choice, RecommendsByTheSameWords) {
  for (const int n_items : {120, 1500}) {
    const EvalReport report = made_up::report(false, n_items);
    const Recommendation& r = *report.recommendation;
    EXPECT_TRUE(r.enough_data);
    int n_checked = 0;
    for (const int best : r.tied)
      for (const int row : r.fitting) {
        const bool is_tied = std::find(r.tied.begin(), r.tied.end(), row) != r.tied.end();
        const auto word = table_word(report, best, row);
        if (!word || best != r.tied.front()) continue;
        ++n_checked;
        EXPECT_EQ(is_tied, *word != Verdict::better) << label(report, best) << " " << label(report, row);
      }
    EXPECT_GT(n_checked, 0);
  }
}

TEST(Choice, TooFewItemsLeaveMemoryAndSpeed) {
  const EvalReport report = made_up::report(false, 15);
  const Recommendation& r = *report.recommendation;
  EXPECT_FALSE(r.enough_data);
  EXPECT_EQ(r.tied, r.fitting);
  EXPECT_NE(r.sentence.find("15 items do not tell"), std::string::npos) << r.sentence;
  for (const int row : r.fitting)
    EXPECT_LE(report.rows[static_cast<size_t>(r.row)].memory_bytes, report.rows[static_cast<size_t>(row)].memory_bytes);
}

TEST(Choice, OnlyRamCountsAndVramIsSaidNotTo) {
  const Plan plan = make_plan(made_up::rows({TensorType::F16}, false));
  const Suite suite = made_up::suite(60);
  const EvalReport report = made_up::judged(plan, suite, made_up::scores(plan, suite, 2),
                                            {.budget = Budget{600000, uint64_t{8} << 30, 4096}});
  const Recommendation& r = *report.recommendation;
  ASSERT_FALSE(r.fitting.empty());
  for (const int row : r.fitting) EXPECT_LE(report.rows[static_cast<size_t>(row)].memory_bytes, 600000u);
  EXPECT_NE(r.sentence.find("Nothing runs on a GPU yet: the 8 GiB VRAM does not count"), std::string::npos)
      << r.sentence;
}

TEST(Choice, AContextThatAFileDoesNotReachDoesNotFit) {
  Plan plan = make_plan(made_up::rows({TensorType::F16}, false));
  for (ReportRow& row : plan.rows) row.context_length = 2048;
  plan.rows[1].context_length = 8192;
  const Suite suite = made_up::suite(60);
  const LockstepScores scores = made_up::scores(plan, suite, 2);
  const EvalReport report = made_up::judged(plan, suite, scores, {.budget = Budget{0, 0, 4096}});
  EXPECT_EQ(report.recommendation->fitting, std::vector<int>{1});
  EXPECT_EQ(report.recommendation->budget.n_ctx, report.n_ctx);
  const std::vector<Warning> warnings = guard_results(report);
  const auto warning =
      std::find_if(warnings.begin(), warnings.end(), [](const Warning& w) { return w.id == "context"; });
  ASSERT_NE(warning, warnings.end());
  EXPECT_NE(warning->message.find("lab-s-q4_0 (2 048)"), std::string::npos) << warning->message;

  const EvalReport none =
      made_up::judged(plan, suite, scores, {.budget = Budget{0, 0, 32768}, .n_ctx = 32768});
  EXPECT_EQ(none.recommendation->row, -1);
  EXPECT_NE(none.recommendation->sentence.find("the longest is 8 192 tokens"), std::string::npos)
      << none.recommendation->sentence;
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
