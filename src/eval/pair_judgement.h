// Pair judgement: a family of pairs of rows, each with its two figures, in; one word for each pair, out. The
// tables of a report, the cache's effects, the recommendation and the Pareto front all take their words from here.
#pragma once

#include <span>
#include <vector>

#include "eval/eval_report.h"
#include "eval/sample.h"

namespace carat {

// Differences of one pair: positive accuracy speaks for the first, positive NLL against it.
struct PairFigures {
  Interval accuracy, nll;
};

struct PairJudgement {
  Judgement accuracy, nll;
  Word word;
};

// What stands beside exact match in a verdict: the NLL of the answers, or of the text if there are none.
inline Sample::Quantity nll_quantity(const EvalReport& report) {
  return report.n_answers > 0 ? Sample::Quantity::answer_nll : Sample::Quantity::nll;
}

// Holm over both figures of all pairs. Without answers the NLL alone decides; where the reference answers no
// better than chance, exact match is no witness.
std::vector<PairJudgement> judge_pairs(const EvalReport& report, std::span<const PairFigures> pairs);

// A judgement that no number of items would turn into a word.
void make_silent(Judgement& judgement);

struct RowPair {
  int row, other;
};

// The word of each pair's first row in quality: the one in the report's tables where they have it, otherwise from
// these pairs as a family of their own.
std::vector<Verdict> quality_verdicts(const EvalReport& report, const Sample& sample,
                                      std::span<const RowPair> pairs);

}  // namespace carat
