// assemble: from scores to the figures, comparisons and words of an EvalReport. Knows rows, not files: tests
// state both by hand.
#pragma once

#include "eval/plan.h"

namespace carat {

struct AssembleOptions {
  int n_resamples = 2000;
  uint64_t seed = 1;
  int n_threads = 1;
  Margins margins{};
  double alpha = 0.05;  // share of families (EvalReport::alpha) that may hold a false call
  std::optional<Budget> budget{};
  int64_t n_ctx = 0;    // for which the rows' memory was computed
  int64_t n_vocab = 0;  // of the reference: what guessing would cost; 0: unknown
};

// Rows' speeds may still be absent (0); pareto and recommendation then ignore speed.
EvalReport assemble(const Plan& plan, const Suite& suite, const LockstepScores& scores,
                    const AssembleOptions& options);

}  // namespace carat
