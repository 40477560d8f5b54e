// The figures of rows and comparisons, table by table.
#include "eval/assemble.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "base/thread_pool.h"
#include "eval/choice.h"
#include "eval/contrasts.h"
#include "eval/divergence_figures.h"
#include "eval/pair_judgement.h"
#include "eval/sample.h"
#include "eval/sentences.h"

namespace carat {
namespace {

using Quantity = Sample::Quantity;
using Table = Comparison::Table;

class Assembler {
 public:
  Assembler(const Plan& plan, const Suite& suite, const LockstepScores& scores,
            const AssembleOptions& options)
      : plan_(plan), suite_(suite), scores_(scores), options_(options), all_(sample(all_items(suite))) {
    std::map<std::string, std::vector<size_t>> items;
    for (size_t i = 0; i < suite.items.size(); ++i) {
      auto& of_category = items[suite.items[i].category];
      if (of_category.empty()) names_.push_back(suite.items[i].category);  // in order of first appearance
      of_category.push_back(i);
    }
    if (names_.size() > 1)
      for (const std::string& name : names_) categories_.push_back(sample(items[name]));
  }

  EvalReport make() {
    describe_suite();
    report_.margins = options_.margins;
    report_.alpha = options_.alpha;
    report_.n_ctx = options_.n_ctx;
    report_.reference = plan_.reference;
    report_.rows = plan_.rows;
    each(plan_.rows.size(), [&](size_t r) { fill_row(static_cast<int>(r)); });
    report_.near_chance = is_near_chance();
    rank_by_divergence();
    for (const PlannedComparison& planned : plan_.comparisons)
      report_.comparisons.push_back(compare_rows(planned));
    judge_tables();
    report_.recoveries = recoveries(report_, all_);
    report_.cache_effects = cache_effects(report_, all_);
    report_.pareto = pareto_front(report_, all_);
    if (options_.budget) report_.recommendation = recommend(report_, all_, *options_.budget);
    for (Comparison& c : report_.comparisons) c.sentence = sentence_of(report_, c);
    for (CacheEffect& e : report_.cache_effects) e.sentence = sentence_of(report_, e);
    return std::move(report_);
  }

 private:
  static std::vector<size_t> all_items(const Suite& suite) {
    std::vector<size_t> items(suite.items.size());
    std::iota(items.begin(), items.end(), size_t{0});
    return items;
  }

  Sample sample(std::vector<size_t> items) const {
    return Sample(scores_, std::move(items), options_.n_resamples, options_.seed, options_.n_threads);
  }

  // Independent pieces of work, over the threads.
  template <class Body>
  void each(size_t n, const Body& body) const {
    ThreadPool pool(options_.n_threads);
    pool.parallel_for(static_cast<int64_t>(n), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) body(static_cast<size_t>(i));
    });
  }

  int n_rows() const { return static_cast<int>(plan_.rows.size()); }
  bool has_answers() const { return all_.n_answers() > 0; }

  void describe_suite() {
    report_.suite_name = suite_.name;
    report_.suite_hash = fmt::format("{:016x}", suite_.hash());
    report_.n_items = static_cast<int64_t>(suite_.items.size());
    report_.n_answers = suite_.n_answers();
    report_.n_tokens = suite_.n_scored_tokens();
    for (const double n : scores_.n_answer_tokens) report_.n_answer_tokens += std::llround(n);
    double entropy = 0;
    for (const SuiteItem& item : suite_.items) entropy += item.entropy;
    if (std::isfinite(entropy)) report_.entropy = entropy / static_cast<double>(report_.n_tokens);
  }

  void fill_row(int r) {
    ReportRow& row = report_.rows[static_cast<size_t>(r)];
    row.nll = all_.mean(Quantity::nll, r);
    row.answer_nll = all_.mean(Quantity::answer_nll, r);
    row.accuracy = all_.mean(Quantity::right, r);
    if (report_.entropy) {
      std::vector<double> gap = scores_.models[static_cast<size_t>(r)].nll;
      for (size_t i = 0; i < gap.size(); ++i) gap[i] -= suite_.items[i].entropy;
      row.nll_gap = all_.per_token(gap);
    }
    for (size_t c = 0; c < categories_.size(); ++c) {
      const Sample& s = categories_[c];
      if (!(s.n_answers() > 0)) continue;
      row.categories.push_back({names_[c], s.n_items(), std::llround(s.n_answers()),
                                s.mean(Quantity::right, r), s.mean(Quantity::answer_nll, r)});
    }
    if (const int pair = plan_.own_parent_pair[static_cast<size_t>(r)]; pair >= 0)
      row.divergence = divergence(pair);
  }

  // A reference that answers nothing, or hardly better than by drawing any token of the vocabulary.
  bool is_near_chance() const {
    if (plan_.reference < 0) return false;
    const ReportRow& row = report_.rows[static_cast<size_t>(plan_.reference)];
    if (has_answers() && row.accuracy.estimate == 0) return true;
    const double nll = has_answers() ? row.answer_nll.estimate : row.nll.estimate;
    return options_.n_vocab > 1 && nll >= 0.9 * std::log(static_cast<double>(options_.n_vocab));
  }

  Divergence divergence(int pair) const {
    const size_t p = static_cast<size_t>(pair);
    return divergence_figures(scores_, p, plan_.pairs[p].reference, all_);
  }

  void rank_by_divergence() {
    std::map<std::pair<int, KvType>, std::vector<RankedRow>> groups;
    for (int r = 0; r < n_rows(); ++r) {
      ReportRow& row = report_.rows[static_cast<size_t>(r)];
      if (!row.divergence || row.is_parent) continue;
      const int pair = plan_.own_parent_pair[static_cast<size_t>(r)];
      groups[{row.parent, row.kv}].push_back({r, &*row.divergence, &scores_.pairs[static_cast<size_t>(pair)].kld});
    }
    for (auto& [key, rows] : groups) count_wins(std::move(rows));
  }

  Comparison compare_rows(const PlannedComparison& planned) const {
    Comparison c;
    c.table = planned.table;
    c.row = planned.row;
    c.reference = planned.reference;
    c.accuracy = all_.difference(Quantity::right, c.row, c.reference);
    c.nll = all_.difference(Quantity::nll, c.row, c.reference);
    c.answer_nll = all_.difference(Quantity::answer_nll, c.row, c.reference);
    c.flips = mcnemar(all_.flips(c.row, c.reference));
    c.n_answers = report_.n_answers;
    if (planned.pair >= 0) c.divergence = divergence(planned.pair);
    if (planned.reverse_pair >= 0) c.reverse_divergence = divergence(planned.reverse_pair);
    compare_categories(c);
    return c;
  }

  void compare_categories(Comparison& c) const {
    for (size_t i = 0; i < categories_.size(); ++i)
      if (categories_[i].n_answers() > 0)
        c.categories.push_back(
            {names_[i], categories_[i].difference(Quantity::right, c.row, c.reference), {}});
  }

  // Holm over all tests of a table under one KV type: exact match and NLL of each pair; the categories of all its
  // pairs are a family beside it.
  void judge_tables() {
    std::map<std::pair<Table, KvType>, std::vector<Comparison*>> families;
    for (Comparison& c : report_.comparisons)
      families[{c.table, report_.rows[static_cast<size_t>(c.row)].kv}].push_back(&c);
    for (const auto& [key, members] : families) {
      judge_family(members);
      judge_categories(members);
    }
  }

  void judge_family(const std::vector<Comparison*>& members) {
    std::vector<PairFigures> figures;
    for (const Comparison* c : members)
      figures.push_back({c->accuracy, nll_quantity(report_) == Quantity::nll ? c->nll : c->answer_nll});
    const std::vector<PairJudgement> judged = judge_pairs(report_, figures);
    for (size_t i = 0; i < members.size(); ++i) {
      members[i]->accuracy_judgement = judged[i].accuracy;
      members[i]->nll_judgement = judged[i].nll;
      members[i]->verdict = judged[i].word.verdict;
      members[i]->n_more_items = judged[i].word.n_more_items;
    }
  }

  void judge_categories(const std::vector<Comparison*>& members) {
    std::vector<Difference> differences;
    for (const Comparison* c : members)
      for (const CategoryComparison& category : c->categories)
        differences.push_back({category.accuracy, options_.margins.accuracy});
    const std::vector<Judgement> judged = judge(differences, options_.alpha);
    size_t next = 0;
    for (Comparison* c : members)
      for (CategoryComparison& category : c->categories) {
        category.judgement = judged[next++];
        if (report_.near_chance) make_silent(category.judgement);
      }
  }

  const Plan& plan_;
  const Suite& suite_;
  const LockstepScores& scores_;
  const AssembleOptions& options_;
  Sample all_;
  std::vector<std::string> names_;
  std::vector<Sample> categories_;
  EvalReport report_;
};

}  // namespace

EvalReport assemble(const Plan& plan, const Suite& suite, const LockstepScores& scores,
                    const AssembleOptions& options) {
  CHECK(plan.rows.size() == scores.models.size() && plan.pairs.size() == scores.pairs.size());
  return Assembler(plan, suite, scores, options).make();
}

}  // namespace carat
