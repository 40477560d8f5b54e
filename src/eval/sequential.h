// Sequential: a judgement that goes on until it is decided. Whoever looks at a growing pile of answers and
// stops when it pleases finds differences where there are none; so every look has its own, smaller allowance
// of false calls, and all of them together stay within the usual 5 %.
#pragma once

#include <functional>
#include <vector>

#include "base/result.h"
#include "eval/eval_report.h"
#include "eval/item_source.h"
#include "eval/scores.h"

namespace carat {

// How much of the allowed error each look may use: after the fraction t of what is planned, looks have used
// alpha t^2 together (the power family of Kim and DeMets 1987, Biometrika 74:149, an alpha-spending function
// after Lan and DeMets 1983, Biometrika 70:659). A look gets what its time adds. The looks' errors are summed
// up (Bonferroni), so nothing is assumed about how they hang together: neither normality nor independence,
// and any number of comparisons, ties and figures may be judged at each look. With looks that double, that
// costs little: the last one keeps 3/4 of alpha.
class ErrorSpending {
 public:
  explicit ErrorSpending(double alpha) : alpha_(alpha) {}

  // What a look at `fraction` (0 … 1, not less than before) may use.
  double spend(double fraction);
  double spent() const { return spent_; }

 private:
  double alpha_, spent_ = 0;
};

struct SequentialOptions {
  int64_t max_items = 0;      // 0: no limit
  double budget_seconds = 0;  // 0: no limit. One of the two must be stated
};

// What came before the report's own look, and that look.
struct SequentialRun {
  Suite suite;
  LockstepScores scores;  // of all its items
  double alpha = 0;       // of the last look
  std::vector<Look> looks;
};

// Scores items that were not scored before.
using ScoreItems = std::function<Result<LockstepScores>(const Suite& more)>;
// All scores so far, judged with this share of false calls allowed.
using JudgeItems = std::function<EvalReport(const Suite& suite, const LockstepScores& scores, double alpha)>;
// Since the start, when the items of the next look, n with those before, are scored. Called once for each look.
using Seconds = std::function<Result<double>(int64_t n)>;

// Takes items, scores and judges them, and each time as many more as there are, until every word is said, the
// budget ends or no items are left. When to look depends on numbers of items and on time, never on what was
// seen. `alpha`: of all looks together.
Result<SequentialRun> run_until_decided(const SequentialOptions& options, double alpha, ItemSource& source,
                                        const ScoreItems& score, const JudgeItems& judge,
                                        const Seconds& elapsed);

// Words that are not said: comparisons (but for the noise floor, which nobody chooses by) and cache effects
// that more items could settle.
int64_t n_open(const EvalReport& report);

}  // namespace carat
