// Ratios of cached bootstrap totals.
#include "eval/sample.h"

#include "base/check.h"
#include "base/thread_pool.h"

namespace carat {

Sample::Sample(const LockstepScores& scores, std::vector<size_t> items, int n_resamples, uint64_t seed,
               int n_threads)
    : items_(std::move(items)),
      scores_(scores),
      bootstrap_(static_cast<int64_t>(items_.size()), n_resamples, seed, n_threads) {
  n_tokens_ = column(scores.n_tokens);
  n_answer_tokens_ = column(scores.n_answer_tokens);
  n_answers_ = column(scores.n_answers);
  const size_t n_rows = scores.models.size();
  nll_.resize(n_rows);
  answer_nll_.resize(n_rows);
  right_.resize(n_rows);
  ThreadPool pool(n_threads);
  pool.parallel_for(static_cast<int64_t>(n_rows), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      const size_t row = static_cast<size_t>(r);
      nll_[row] = column(scores.models[row].nll);
      answer_nll_[row] = column(scores.models[row].answer_nll);
      right_[row] = column(scores.n_right(static_cast<int>(r)));
    }
  });
}

std::vector<double> Sample::gather(const std::vector<double>& values) const {
  std::vector<double> result;
  result.reserve(items_.size());
  for (const size_t i : items_) result.push_back(values[i]);
  return result;
}

Sample::Column Sample::column(const std::vector<double>& values) const {
  Column result;
  result.per_item = gather(values);
  result.totals = bootstrap_.totals(result.per_item);
  for (const double v : result.per_item) result.total += v;
  return result;
}

const Sample::Column& Sample::of(Quantity quantity, int row) const {
  const size_t r = static_cast<size_t>(row);
  switch (quantity) {
    case Quantity::nll:
      return nll_[r];
    case Quantity::answer_nll:
      return answer_nll_[r];
    case Quantity::right:
      return right_[r];
  }
  CHECK(false);
}

const Sample::Column& Sample::weights(Quantity quantity) const {
  switch (quantity) {
    case Quantity::nll:
      return n_tokens_;
    case Quantity::answer_nll:
      return n_answer_tokens_;
    case Quantity::right:
      return n_answers_;
  }
  CHECK(false);
}

Interval Sample::ratio(const Column& numerator, const Column& denominator) const {
  std::vector<double> replicates(numerator.totals.size());
  for (size_t r = 0; r < replicates.size(); ++r) replicates[r] = numerator.totals[r] / denominator.totals[r];
  return bootstrap_.interval(numerator.total / denominator.total, std::move(replicates));
}

Interval Sample::mean(Quantity quantity, int row) const {
  const Column& values = of(quantity, row);
  const Interval resampled = ratio(values, weights(quantity));
  if (quantity != Quantity::right) return resampled;
  return accuracy_share(values.per_item, n_answers_.per_item, resampled);
}

Interval Sample::difference(Quantity quantity, int row, int reference) const {
  const Column &a = of(quantity, row), &b = of(quantity, reference), &weight = weights(quantity);
  std::vector<double> replicates(a.totals.size());
  for (size_t r = 0; r < replicates.size(); ++r)
    replicates[r] = (a.totals[r] - b.totals[r]) / weight.totals[r];
  const Interval resampled = bootstrap_.interval((a.total - b.total) / weight.total, std::move(replicates));
  if (quantity != Quantity::right) return resampled;
  return accuracy_difference(flips(row, reference), n_answers_.per_item, resampled);
}

Flips Sample::flips(int row, int reference) const {
  const auto &a = scores_.models[static_cast<size_t>(row)].correct,
             &b = scores_.models[static_cast<size_t>(reference)].correct;
  Flips result;
  for (const size_t i : items_) {
    double won = 0, lost = 0;
    for (auto k = static_cast<size_t>(scores_.first_answer[i]);
         k < static_cast<size_t>(scores_.first_answer[i + 1]); ++k) {
      if (!scores_.is_exact[k]) continue;
      won += a[k] > b[k];
      lost += a[k] < b[k];
    }
    result.won.push_back(won);
    result.lost.push_back(lost);
  }
  return result;
}

Interval Sample::difference_of_differences(Quantity quantity, int a, int base_a, int b, int base_b) const {
  const Column &of_a = of(quantity, a), &from_a = of(quantity, base_a);
  const Column &of_b = of(quantity, b), &from_b = of(quantity, base_b), &weight = weights(quantity);
  std::vector<double> replicates(of_a.totals.size());
  for (size_t r = 0; r < replicates.size(); ++r)
    replicates[r] =
        ((of_a.totals[r] - from_a.totals[r]) - (of_b.totals[r] - from_b.totals[r])) / weight.totals[r];
  const double total = (of_a.total - from_a.total) - (of_b.total - from_b.total);
  const Interval resampled = bootstrap_.interval(total / weight.total, std::move(replicates));
  if (quantity != Quantity::right) return resampled;
  // An answer that one side wins and the other loses counts twice; the design effect sees to its variance.
  const Flips first = flips(a, base_a), second = flips(b, base_b);
  Flips both;
  for (size_t i = 0; i < first.won.size(); ++i) {
    both.won.push_back(first.won[i] + second.lost[i]);
    both.lost.push_back(first.lost[i] + second.won[i]);
  }
  return accuracy_difference(both, n_answers_.per_item, resampled);
}

Interval Sample::recovery(Quantity quantity, int a, int base_a, int b, int base_b) const {
  const Column &qat = of(quantity, a), &qat_base = of(quantity, base_a);
  const Column &ptq = of(quantity, b), &ptq_base = of(quantity, base_b);
  std::vector<double> replicates(qat.totals.size());
  for (size_t r = 0; r < replicates.size(); ++r)
    replicates[r] = 1 - (qat.totals[r] - qat_base.totals[r]) / (ptq.totals[r] - ptq_base.totals[r]);
  return bootstrap_.interval(1 - (qat.total - qat_base.total) / (ptq.total - ptq_base.total),
                             std::move(replicates));
}

Interval Sample::per_token(const std::vector<double>& values) const {
  return ratio(column(values), n_tokens_);
}

Interval Sample::per_answer_token(const std::vector<double>& values) const {
  return ratio(column(values), n_answer_tokens_);
}

}  // namespace carat
