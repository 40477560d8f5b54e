// The judge's statistics. The unit that is resampled is the item (a whole prompt with all its tokens and
// answers), so tokens and answers of one item are never taken for independent witnesses. Every comparison
// ends in one word. Why these rules: docs/decisions/0003-verdicts.md.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace carat {

// A point estimate and its 95 % interval. `degrees` (items - 1) says how heavy the tails are when the
// interval is asked for at another level.
struct Interval {
  double estimate = 0;
  double low = 0, high = 0;
  double degrees = 0;

  int64_t n_items() const { return static_cast<int64_t>(degrees) + 1; }
};

// The interval at another confidence level: each arm is stretched by the ratio of Student quantiles, which
// keeps the bootstrap's asymmetry without asking for more resamples than there are.
Interval at_level(const Interval& interval, double confidence);
// Two-sided p of "the true value is 0": the smallest alpha whose interval excludes 0. Agrees with at_level.
double p_value(const Interval& interval);

// Linear interpolation at fraction * (n - 1) of sorted values; n >= 1.
double sorted_percentile(std::span<const double> sorted, double fraction);

// Resamples items with replacement, always the same way for a seed, whatever the number of threads.
class Bootstrap {
 public:
  Bootstrap(int64_t n_items, int n_resamples, uint64_t seed, int n_threads = 1);

  int64_t n_items() const { return n_items_; }
  int n_resamples() const { return n_resamples_; }

  // In every resample, the sum of a per-item quantity. [n_resamples]
  std::vector<double> totals(std::span<const double> per_item) const;

  // The percentile interval, moved outwards to Student's tails (percentiles alone are too narrow for few
  // items). Replicates that are not finite (a resample without any scored item) are left out.
  Interval interval(double estimate, std::vector<double> replicates) const;

  // sum(numerator) / sum(denominator): a mean per token or answer when items have different sizes.
  Interval ratio(std::span<const double> numerator, std::span<const double> denominator) const;

 private:
  int64_t n_items_;
  int n_resamples_;
  int n_threads_;
  std::vector<uint8_t> counts_;  // [n_resamples, n_items]: how often each item was drawn
};

// sum(numerator) / sum(denominator) with the linearised, cluster-robust normal (Student) interval: no
// resampling.
Interval ratio_normal(std::span<const double> numerator, std::span<const double> denominator);

// Answers of one item that only one of two models got right, per item.
struct Flips {
  std::vector<double> won, lost;    // [n_items]
  std::vector<double> net() const;  // won - lost
};

struct FlipTest {
  int64_t won = 0, lost = 0;
  double p = 1;
  bool clustered = false;  // false: exact McNemar with mid-p; true: its score form on the items' nets
};

// McNemar's test. Exact (mid-p) when no item has more than one flip; otherwise sum(net)^2 / sum(net^2) over
// items, which leaves flips of one item as dependent as they like.
FlipTest mcnemar(const Flips& flips);

// Difference in the share of right answers, won minus lost over all answers: the hull of the paired cluster
// bootstrap and of a Laplace-adjusted interval (Bonett and Price) at the effective number of answers, because
// a bootstrap of nearly no flips knows nothing about the flips it has not seen.
// `resampled` is the bootstrap's part. Never beyond ±1.
Interval accuracy_difference(const Flips& flips, std::span<const double> n_answers,
                             const Interval& resampled);
// Share of right answers: the hull of the cluster bootstrap and Wilson's interval, within 0 and 1.
Interval accuracy_share(std::span<const double> n_right, std::span<const double> n_answers,
                        const Interval& resampled);

// Holm's step-down adjustment: p-values that may be compared with alpha whatever the number of tests.
std::vector<double> holm(std::span<const double> p);

enum class Verdict { better, worse, tie, not_enough_data };
std::string_view to_string(Verdict verdict);  // "not enough data"

struct Margins {
  double accuracy = 0.01;  // one point
  double nll = 0.01;       // nats per token: one per cent of perplexity
};

struct Judgement {
  Verdict verdict = Verdict::not_enough_data;
  Interval adjusted;  // at the level that Holm's procedure leaves to this comparison
  double p = 1, p_adjusted = 1;
  // Items like these, in all, that would make the call (80 % power) or show the tie (90 %, so that two figures
  // tie at once in 80 %); 0: it is made; kNever: what was seen points to no such end.
  int64_t n_to_call = 0, n_to_tie = 0;
  int64_t n_more_items = 0;  // to whichever of the two is nearer; 0: settled, or never

  int64_t n_items() const { return adjusted.n_items(); }
};

// A difference, positive when it speaks for the first of the two, and what counts as no difference.
struct Difference {
  Interval interval;
  double margin;
};

inline constexpr int64_t kFewestItems = 20;  // below, nothing is called
inline constexpr int64_t kNever = INT64_MAX;

// Judges all comparisons of one family together, so that at most `alpha` of families hold a false call.
std::vector<Judgement> judge(std::span<const Difference> differences, double alpha = 0.05);

// One word for two figures of one pair: as soon as either is called, that is the word (the first goes before);
// a tie needs both. More items, accordingly: the fewest that call either, or that show both ties.
struct Word {
  Verdict verdict = Verdict::not_enough_data;
  int64_t n_more_items = 0;  // 0: settled, or no number of such items would do
};
Word combine(const Judgement& first, const Judgement& second);

// Items needed in all to tell a difference of `effect` from 0 with `power`, given what the interval's items
// showed. kNever: more than anybody has.
int64_t items_needed(const Interval& interval, double effect, double confidence, double power = 0.8);
// The same to show that a true difference of the interval's estimate is inside the margin.
int64_t items_to_tie(const Interval& interval, double margin, double confidence, double power = 0.9);

}  // namespace carat
