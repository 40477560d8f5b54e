// Divergence figures: how far a row is from another, from the scores of a pair; and which of several rows is
// nearer to their parent, prompt by prompt.
#pragma once

#include <vector>

#include "eval/eval_report.h"
#include "eval/sample.h"

namespace carat {

// Of pair `pair` over all items of the sample, which are all items of the scores. `reference`: the report's
// row.
Divergence divergence_figures(const LockstepScores& scores, size_t pair, int reference, const Sample& sample);

struct RankedRow {
  int row;
  Divergence* divergence;
  const std::vector<double>* kld;  // [n_items]
};

// Rows of one parent and KV type: ordered by their divergence, how often each beats the next on a prompt.
void count_wins(std::vector<RankedRow> rows);

}  // namespace carat
