// Families of pairs through judge() and combine().
#include "eval/pair_judgement.h"

#include <optional>

namespace carat {
namespace {

using Table = Comparison::Table;

Interval negated(const Interval& i) { return {-i.estimate, -i.high, -i.low, i.degrees}; }

Verdict opposite(Verdict verdict) {
  return verdict == Verdict::better ? Verdict::worse : verdict == Verdict::worse ? Verdict::better : verdict;
}

std::optional<Verdict> word_in_tables(const EvalReport& report, const RowPair& pair) {
  for (const Table table : {Table::truth, Table::headline, Table::parents, Table::own_parent, Table::kv}) {
    if (const Comparison* c = report.find(table, pair.row, pair.other)) return c->verdict;
    if (const Comparison* c = report.find(table, pair.other, pair.row)) return opposite(c->verdict);
  }
  return std::nullopt;
}

}  // namespace

void make_silent(Judgement& judgement) {
  judgement.verdict = Verdict::not_enough_data;
  judgement.n_to_call = judgement.n_to_tie = kNever;
  judgement.n_more_items = 0;
}

std::vector<PairJudgement> judge_pairs(const EvalReport& report, std::span<const PairFigures> pairs) {
  const bool has_answers = report.n_answers > 0;
  std::vector<Difference> differences;
  for (const PairFigures& pair : pairs) {
    differences.push_back({negated(pair.nll), report.margins.nll});
    if (has_answers) differences.push_back({pair.accuracy, report.margins.accuracy});
  }
  const std::vector<Judgement> judged = judge(differences, report.alpha);
  std::vector<PairJudgement> result(pairs.size());
  size_t next = 0;
  for (PairJudgement& pair : result) {
    pair.nll = judged[next++];
    if (has_answers) pair.accuracy = judged[next++];
    if (has_answers && report.near_chance) make_silent(pair.accuracy);
    pair.word = combine(has_answers ? pair.accuracy : pair.nll, pair.nll);
  }
  return result;
}

std::vector<Verdict> quality_verdicts(const EvalReport& report, const Sample& sample,
                                      std::span<const RowPair> pairs) {
  std::vector<Verdict> verdicts(pairs.size());
  std::vector<size_t> open;
  std::vector<PairFigures> figures;
  for (size_t i = 0; i < pairs.size(); ++i) {
    if (const auto word = word_in_tables(report, pairs[i])) {
      verdicts[i] = *word;
      continue;
    }
    open.push_back(i);
    figures.push_back({sample.difference(Sample::Quantity::right, pairs[i].row, pairs[i].other),
                       sample.difference(nll_quantity(report), pairs[i].row, pairs[i].other)});
  }
  const std::vector<PairJudgement> judged = judge_pairs(report, figures);
  for (size_t k = 0; k < open.size(); ++k) verdicts[open[k]] = judged[k].word.verdict;
  return verdicts;
}

}  // namespace carat
