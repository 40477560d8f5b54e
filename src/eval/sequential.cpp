// When to look, and with how much allowed error.
#include "eval/sequential.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "eval/statistics.h"

namespace carat {
namespace {

constexpr int64_t kFirstLook = 96;  // items: below, intervals are too wide and too rough to say anything
constexpr int64_t kMostParts = 32;  // of the items allowed: the first look comes not before one part
// Share of the intended items without which another look is not worth its allowance.
constexpr double kWorthwhile = 0.25;

class Looks {
 public:
  Looks(const SequentialOptions& options, const ItemSource& source) : options_(options) {
    n_allowed_ = options.max_items > 0 ? options.max_items : ItemSource::kEndless;
    n_allowed_ = std::min(n_allowed_, source.n_left());
  }

  // Items to be added to n that were scored in `seconds`; 0: the look at them is the last.
  int64_t next(int64_t n, double seconds) const {
    if (n >= n_allowed_) return 0;
    if (n == 0) return std::min(n_allowed_, first());
    int64_t more = std::min(n, n_allowed_ - n);
    if (options_.budget_seconds > 0) {
      const double affordable =
          static_cast<double>(n) * (options_.budget_seconds / std::max(seconds, 1e-9) - 1);
      more = static_cast<int64_t>(std::min(static_cast<double>(more), std::max(affordable, 0.0)));
      if (static_cast<double>(more) < kWorthwhile * static_cast<double>(std::min(n, n_allowed_ - n)))
        return 0;
    }
    // A small rest has no look of its own.
    const bool in_time = options_.budget_seconds <= 0;
    if (in_time && static_cast<double>(n_allowed_ - n - more) < kWorthwhile * static_cast<double>(n))
      more = n_allowed_ - n;
    return more;
  }

  // Of the plan that is done: by items or by time, whichever ends first.
  double fraction(int64_t n, double seconds) const {
    double share = 0;
    if (n_allowed_ != ItemSource::kEndless) share = static_cast<double>(n) / static_cast<double>(n_allowed_);
    if (options_.budget_seconds > 0) share = std::max(share, seconds / options_.budget_seconds);
    return std::min(share, 1.0);
  }

 private:
  // So that doubling ends at what is allowed.
  int64_t first() const {
    if (n_allowed_ == ItemSource::kEndless) return kFirstLook;
    int64_t n = n_allowed_;
    for (int64_t part = 2; part <= kMostParts && n_allowed_ / part >= kFirstLook; part *= 2)
      n = (n_allowed_ + part - 1) / part;
    return n;
  }

  SequentialOptions options_;
  int64_t n_allowed_;
};

bool is_open(Verdict verdict) { return verdict == Verdict::not_enough_data; }

}  // namespace

double ErrorSpending::spend(double fraction) {
  const double t = std::clamp(fraction, 0.0, 1.0);
  const double before = spent_;
  spent_ = std::max(spent_, alpha_ * t * t);
  return spent_ - before;
}

int64_t n_open(const EvalReport& report) {
  return std::ranges::count_if(
             report.comparisons,
             [](const Comparison& c) { return c.table != Comparison::Table::noise && is_open(c.verdict); }) +
         std::ranges::count_if(report.cache_effects, [](const CacheEffect& e) { return is_open(e.verdict); });
}

Result<SequentialRun> run_until_decided(const SequentialOptions& options, double alpha, ItemSource& source,
                                        const ScoreItems& score, const JudgeItems& judge,
                                        const Seconds& elapsed) {
  CHECK(options.max_items > 0 || options.budget_seconds > 0);
  const Looks looks(options, source);
  ErrorSpending spending(alpha);
  SequentialRun run;
  run.suite.name = source.name();
  for (int64_t more = looks.next(0, 0); more > 0;) {
    Suite added;
    added.name = run.suite.name;
    added.items = TRY(source.more(more));
    if (added.items.empty()) break;
    LockstepScores scores = TRY(score(added));
    if (run.looks.empty())
      run.scores = std::move(scores);
    else
      run.scores.append(scores);
    for (SuiteItem& item : added.items) run.suite.items.push_back(std::move(item));

    const auto n = static_cast<int64_t>(run.suite.items.size());
    const double seconds = TRY(elapsed(n));
    more = source.n_left() > 0 ? looks.next(n, seconds) : 0;
    run.alpha = spending.spend(more > 0 ? looks.fraction(n, seconds) : 1);
    const EvalReport report = judge(run.suite, run.scores, run.alpha);
    run.looks.push_back({n, run.alpha, n_open(report)});
    if (run.looks.back().n_open == 0 || report.near_chance) break;
  }
  if (run.looks.empty()) return fail("{}: no items", run.suite.name);
  return run;
}

}  // namespace carat
