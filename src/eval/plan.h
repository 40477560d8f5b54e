// Plan: which rows a judgement has, which of them run in lockstep against which, and which comparisons are
// made. The rules of fairness that concern who may be compared with whom stand here.
#pragma once

#include <vector>

#include "eval/compare.h"
#include "eval/scores.h"

namespace carat {

struct PlannedComparison {
  Comparison::Table table;
  int row, reference;
  int pair = -1, reverse_pair = -1;  // indices into pairs; -1: no divergence is shown
};

struct Plan {
  std::vector<ReportRow> rows;       // with everything known before running; row i is lockstep model i
  std::vector<int> own_parent_pair;  // [n_rows] index into pairs or -1
  std::vector<ReferencePair> pairs;
  std::vector<PlannedComparison> comparisons;
  int reference = -1;  // row of the original parent
};

// `rows` in, the rest out: separate from opening files so that tests can state rows by hand.
Plan make_plan(std::vector<ReportRow> rows);

// One row per file and KV type, then the noise-floor row.
std::vector<ReportRow> plan_rows(const CompareRequest& request, int64_t n_ctx);

}  // namespace carat
