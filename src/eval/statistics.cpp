// Cluster bootstrap, flips, Holm and the verdict rule of statistics.h.
#include "eval/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "eval/distributions.h"

namespace carat {
namespace {

constexpr double kConfidence = 0.95;

double two_sided_quantile(double confidence, double degrees) {
  return -student_quantile((1 - confidence) / 2, degrees);
}

double sum_of(std::span<const double> values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum;
}

// Sum of counts[i] * values[i]; four partial sums let the additions overlap.
double weighted_sum(const uint8_t* counts, std::span<const double> values) {
  double sums[4] = {0, 0, 0, 0};
  size_t i = 0;
  for (; i + 4 <= values.size(); i += 4)
    for (size_t j = 0; j < 4; ++j) sums[j] += counts[i + j] * values[i + j];
  for (; i < values.size(); ++i) sums[0] += counts[i] * values[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

Interval hull(const Interval& a, double low, double high) {
  return {a.estimate, std::min(a.low, low), std::max(a.high, high), a.degrees};
}

Interval clamped(const Interval& i, double lowest, double highest) {
  return {i.estimate, std::clamp(i.low, lowest, highest), std::clamp(i.high, lowest, highest), i.degrees};
}

// How many times larger the variance is than independent answers would have; at least 1.
double design_effect(const Interval& clustered, double independent_variance) {
  const double quantile = two_sided_quantile(kConfidence, clustered.degrees);
  const double error = (clustered.high - clustered.low) / 2 / quantile;
  if (independent_variance <= 0) return 1;
  return std::max(1.0, error * error / independent_variance);
}

}  // namespace

double sorted_percentile(std::span<const double> sorted, double fraction) {
  const double position = std::clamp(fraction, 0.0, 1.0) * static_cast<double>(sorted.size() - 1);
  const size_t low = static_cast<size_t>(position);
  const size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (position - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

Interval at_level(const Interval& interval, double confidence) {
  if (interval.degrees <= 0) return interval;
  const double stretch =
      two_sided_quantile(confidence, interval.degrees) / two_sided_quantile(kConfidence, interval.degrees);
  return {interval.estimate, interval.estimate - stretch * (interval.estimate - interval.low),
          interval.estimate + stretch * (interval.high - interval.estimate), interval.degrees};
}

double p_value(const Interval& interval) {
  if (interval.estimate == 0 || interval.degrees <= 0) return 1;
  const double arm =
      interval.estimate > 0 ? interval.estimate - interval.low : interval.high - interval.estimate;
  if (arm <= 0) return 0;
  const double t = std::fabs(interval.estimate) / arm * two_sided_quantile(kConfidence, interval.degrees);
  return std::min(1.0, 2 * student_cdf(-t, interval.degrees));
}

Bootstrap::Bootstrap(int64_t n_items, int n_resamples, uint64_t seed, int n_threads)
    : n_items_(n_items), n_resamples_(n_resamples), n_threads_(n_threads) {
  CHECK(n_items >= 1 && n_resamples >= 1 && n_threads >= 1);
  counts_.resize(static_cast<size_t>(n_items) * static_cast<size_t>(n_resamples));
  ThreadPool pool(n_threads);
  pool.parallel_for(n_resamples, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      Random random(mix64(seed ^ mix64(static_cast<uint64_t>(r))));
      uint8_t* counts = counts_.data() + r * n_items_;
      for (int64_t i = 0; i < n_items_; ++i) {
        uint8_t& count = counts[random.below(n_items_)];
        if (count < UINT8_MAX) ++count;  // more than 255 draws of one item do not happen in any sample of use
      }
    }
  });
}

std::vector<double> Bootstrap::totals(std::span<const double> per_item) const {
  CHECK(static_cast<int64_t>(per_item.size()) == n_items_);
  std::vector<double> result(static_cast<size_t>(n_resamples_));
  for (int r = 0; r < n_resamples_; ++r)
    result[static_cast<size_t>(r)] = weighted_sum(counts_.data() + r * n_items_, per_item);
  return result;
}

Interval Bootstrap::interval(double estimate, std::vector<double> replicates) const {
  std::erase_if(replicates, [](double v) { return !std::isfinite(v); });
  const double degrees = static_cast<double>(n_items_ - 1);
  if (n_items_ < 2 || replicates.empty() || !std::isfinite(estimate)) {
    const double infinity = std::numeric_limits<double>::infinity();
    return {estimate, -infinity, infinity, degrees};
  }
  std::sort(replicates.begin(), replicates.end());
  const double n = static_cast<double>(n_items_);
  const double tail = normal_cdf(-std::sqrt(n / (n - 1)) * two_sided_quantile(kConfidence, degrees));
  return {estimate, std::min(estimate, sorted_percentile(replicates, tail)),
          std::max(estimate, sorted_percentile(replicates, 1 - tail)), degrees};
}

Interval Bootstrap::ratio(std::span<const double> numerator, std::span<const double> denominator) const {
  std::vector<double> above = totals(numerator);
  const std::vector<double> below = totals(denominator);
  for (size_t r = 0; r < above.size(); ++r) above[r] /= below[r];
  return interval(sum_of(numerator) / sum_of(denominator), std::move(above));
}

Interval ratio_normal(std::span<const double> numerator, std::span<const double> denominator) {
  CHECK(numerator.size() == denominator.size());
  const double n = static_cast<double>(numerator.size());
  const double below = sum_of(denominator);
  const double estimate = sum_of(numerator) / below;
  const double infinity = std::numeric_limits<double>::infinity();
  if (n < 2) return {estimate, -infinity, infinity, n - 1};
  double squares = 0;
  for (size_t i = 0; i < numerator.size(); ++i) {
    const double residual = numerator[i] - estimate * denominator[i];
    squares += residual * residual;
  }
  const double error = std::sqrt(squares * n / (n - 1)) / below;
  const double arm = error * two_sided_quantile(kConfidence, n - 1);
  return {estimate, estimate - arm, estimate + arm, n - 1};
}

std::vector<double> Flips::net() const {
  CHECK(won.size() == lost.size());
  std::vector<double> result(won.size());
  for (size_t i = 0; i < result.size(); ++i) result[i] = won[i] - lost[i];
  return result;
}

FlipTest mcnemar(const Flips& flips) {
  CHECK(flips.won.size() == flips.lost.size());
  FlipTest test;
  double net = 0, net_squares = 0;
  for (size_t i = 0; i < flips.won.size(); ++i) {
    const double difference = flips.won[i] - flips.lost[i];
    test.won += std::llround(flips.won[i]);
    test.lost += std::llround(flips.lost[i]);
    test.clustered = test.clustered || flips.won[i] + flips.lost[i] > 1;
    net += difference;
    net_squares += difference * difference;
  }
  if (test.clustered) {
    if (net_squares > 0) test.p = 2 * normal_cdf(-std::fabs(net) / std::sqrt(net_squares));
    return test;
  }
  const int64_t n = test.won + test.lost, k = std::min(test.won, test.lost);
  if (n > 0) test.p = std::min(1.0, 2 * fair_binomial_cdf(k, n) - fair_binomial_pmf(k, n));
  return test;
}

Interval accuracy_difference(const Flips& flips, std::span<const double> n_answers,
                             const Interval& resampled) {
  CHECK(flips.won.size() == n_answers.size());
  const std::vector<double> net = flips.net();
  const double n = sum_of(n_answers);
  if (!(n > 0) || resampled.degrees < 1) return clamped(resampled, -1, 1);

  const double won = sum_of(flips.won), lost = sum_of(flips.lost);
  const double variance = (won + lost - (won - lost) * (won - lost) / n) / n / n;
  const double effect = design_effect(ratio_normal(net, n_answers), variance);
  const double effective = n / effect + 2;
  const double p_won = (won / effect + 1) / effective, p_lost = (lost / effect + 1) / effective;
  const double centre = p_won - p_lost;
  const double arm = two_sided_quantile(kConfidence, resampled.degrees) *
                     std::sqrt((p_won + p_lost - centre * centre) / effective);
  return clamped(hull(resampled, centre - arm, centre + arm), -1, 1);
}

Interval accuracy_share(std::span<const double> n_right, std::span<const double> n_answers,
                        const Interval& resampled) {
  const double n = sum_of(n_answers);
  if (!(n > 0) || resampled.degrees < 1) return clamped(resampled, 0, 1);
  const double share = sum_of(n_right) / n;
  const double effect = design_effect(ratio_normal(n_right, n_answers), share * (1 - share) / n);
  const double effective = n / effect;
  const double z = two_sided_quantile(kConfidence, resampled.degrees);
  const double scale = 1 / (1 + z * z / effective);
  const double centre = scale * (share + z * z / (2 * effective));
  const double arm =
      scale * z * std::sqrt(share * (1 - share) / effective + z * z / (4 * effective * effective));
  return clamped(hull(resampled, centre - arm, centre + arm), 0, 1);
}

std::vector<double> holm(std::span<const double> p) {
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] < p[b]; });
  std::vector<double> adjusted(p.size());
  double largest = 0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    const double factor = static_cast<double>(order.size() - rank);
    largest = std::max(largest, std::min(1.0, factor * p[order[rank]]));
    adjusted[order[rank]] = largest;
  }
  return adjusted;
}

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::better:
      return "better";
    case Verdict::worse:
      return "worse";
    case Verdict::tie:
      return "tie";
    case Verdict::not_enough_data:
      return "not enough data";
  }
  CHECK(false);
}

namespace {

// One standard error of the interval's estimate; infinite where it says nothing.
double error_of(const Interval& interval) {
  if (!(interval.degrees >= 1)) return std::numeric_limits<double>::infinity();
  return (interval.high - interval.low) / 2 / two_sided_quantile(kConfidence, interval.degrees);
}

// Items with which an error shrinks to 1 / `precision`.
int64_t items_for(const Interval& interval, double precision) {
  constexpr double kTooMany = 1e12;
  const double needed = static_cast<double>(interval.n_items()) * std::pow(error_of(interval) * precision, 2);
  return needed < kTooMany ? static_cast<int64_t>(std::ceil(needed)) : kNever;
}

double critical(double confidence) { return -normal_quantile((1 - confidence) / 2); }

}  // namespace

int64_t items_needed(const Interval& interval, double effect, double confidence, double power) {
  if (!(effect > 0)) return kNever;
  return items_for(interval, (critical(confidence) + normal_quantile(power)) / effect);
}

int64_t items_to_tie(const Interval& interval, double margin, double confidence, double power) {
  const double room = margin - std::fabs(interval.estimate);
  if (!(room > 0)) return kNever;
  // Both ends must be inside: the precision for one end alone is too low, twice the miss is enough.
  const double far_room = margin + std::fabs(interval.estimate), z = critical(confidence);
  double low = 0, high = (z + normal_quantile((1 + power) / 2)) / room;
  for (int i = 0; i < 60; ++i) {
    const double precision = (low + high) / 2;
    const double both = normal_cdf(room * precision - z) + normal_cdf(far_room * precision - z) - 1;
    (both < power ? low : high) = precision;
  }
  return items_for(interval, high);
}

namespace {

int64_t more_items(int64_t n_to_call, int64_t n_to_tie, int64_t n_items) {
  const int64_t needed = std::min(n_to_call, n_to_tie);
  if (needed == kNever) return 0;
  return std::max({needed - n_items, kFewestItems - n_items, int64_t{1}});
}

// With |estimate| this small against the margin, the interval is inside the margin before it excludes 0.
bool ties_before_it_is_called(double size, double margin, double confidence) {
  const double z = critical(confidence), arm = size * z / (z + normal_quantile(0.8));
  return size + arm < margin;
}

Judgement judge_one(const Difference& difference, double confidence) {
  const int64_t n_items = difference.interval.n_items();
  Judgement result;
  result.adjusted = at_level(difference.interval, confidence);
  const Interval& i = result.adjusted;
  const bool enough = n_items >= kFewestItems && std::isfinite(i.low) && std::isfinite(i.high);
  if (enough && i.low > -difference.margin && i.high < difference.margin)
    result.verdict = Verdict::tie;
  else if (enough && i.low > 0)
    result.verdict = Verdict::better;
  else if (enough && i.high < 0)
    result.verdict = Verdict::worse;

  const double size = std::fabs(i.estimate);
  if (result.verdict == Verdict::tie) {
    result.n_to_call = kNever;
  } else if (result.verdict != Verdict::not_enough_data) {
    result.n_to_tie = kNever;
  } else {
    result.n_to_call = ties_before_it_is_called(size, difference.margin, confidence)
                           ? kNever
                           : items_needed(difference.interval, size, confidence);
    result.n_to_tie = items_to_tie(difference.interval, difference.margin, confidence);
    result.n_more_items = more_items(result.n_to_call, result.n_to_tie, n_items);
  }
  return result;
}

}  // namespace

Word combine(const Judgement& first, const Judgement& second) {
  const auto called = [](const Judgement& j) {
    return j.verdict == Verdict::better || j.verdict == Verdict::worse;
  };
  if (called(first)) return {first.verdict, 0};
  if (called(second)) return {second.verdict, 0};
  if (first.verdict == Verdict::tie && second.verdict == Verdict::tie) return {Verdict::tie, 0};
  return {Verdict::not_enough_data,
          more_items(std::min(first.n_to_call, second.n_to_call), std::max(first.n_to_tie, second.n_to_tie),
                     first.n_items())};
}

std::vector<Judgement> judge(std::span<const Difference> differences, double alpha) {
  std::vector<double> p;
  for (const Difference& d : differences) p.push_back(p_value(d.interval));
  const std::vector<double> adjusted = holm(p);

  // Holm rejects in order of p, each at alpha / (number not yet rejected); what remains is judged at the
  // level at which the procedure stopped.
  const auto n_rejected =
      std::count_if(adjusted.begin(), adjusted.end(), [&](double q) { return q <= alpha; });
  std::vector<double> sorted(p);
  std::sort(sorted.begin(), sorted.end());
  std::vector<Judgement> result;
  for (size_t i = 0; i < differences.size(); ++i) {
    const auto rank = std::lower_bound(sorted.begin(), sorted.end(), p[i]) - sorted.begin();
    const auto n_before = std::min(rank, n_rejected);
    const double share = static_cast<double>(static_cast<int64_t>(p.size()) - n_before);
    Judgement judgement = judge_one(differences[i], 1 - alpha / std::max(1.0, share));
    judgement.p = p[i];
    judgement.p_adjusted = adjusted[i];
    result.push_back(judgement);
  }
  return result;
}

}  // namespace carat
