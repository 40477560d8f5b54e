// Sample: the per-item sums of all rows on some items (the whole suite, or one category), and their totals in
// every bootstrap resample. Computed once, because every figure of a report is a ratio or a difference of
// these totals.
#pragma once

#include <vector>

#include "eval/scores.h"
#include "eval/statistics.h"

namespace carat {

class Sample {
 public:
  // Items of `scores` that are to be resampled.
  Sample(const LockstepScores& scores, std::vector<size_t> items, int n_resamples, uint64_t seed,
         int n_threads);

  enum class Quantity { nll, answer_nll, right };

  int64_t n_items() const { return bootstrap_.n_items(); }
  double n_answers() const { return n_answers_.total; }
  double n_answer_tokens() const { return n_answer_tokens_.total; }
  const Bootstrap& bootstrap() const { return bootstrap_; }

  // Of one row: mean NLL per scored token or per answer token, share of right answers.
  Interval mean(Quantity quantity, int row) const;
  // Row minus reference. For `right` the interval of accuracy_difference.
  Interval difference(Quantity quantity, int row, int reference) const;
  Flips flips(int row, int reference) const;
  // (a - base_a) - (b - base_b), item by item.
  Interval difference_of_differences(Quantity quantity, int a, int base_a, int b, int base_b) const;

  // 1 - (a - base_a) / (b - base_b) of the rows' means; for `right` of the shares of wrong answers.
  Interval recovery(Quantity quantity, int a, int base_a, int b, int base_b) const;

  // sum(per-item values) / sum(scored or answer tokens); values of all items of the suite, of which this
  // sample takes its own.
  Interval per_token(const std::vector<double>& values) const;
  Interval per_answer_token(const std::vector<double>& values) const;
  std::vector<double> gather(const std::vector<double>& values) const;

 private:
  // A per-item quantity with its total and its totals in the resamples.
  struct Column {
    std::vector<double> per_item, totals;
    double total = 0;
  };
  Column column(const std::vector<double>& values) const;
  const Column& of(Quantity quantity, int row) const;
  const Column& weights(Quantity quantity) const;
  Interval ratio(const Column& numerator, const Column& denominator) const;

  std::vector<size_t> items_;
  const LockstepScores& scores_;
  Bootstrap bootstrap_;
  Column n_tokens_, n_answer_tokens_, n_answers_;
  std::vector<Column> nll_, answer_nll_, right_;  // [n_rows]
};

}  // namespace carat
