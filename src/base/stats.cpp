// Plain loops for base/stats.h.
#include "base/stats.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/check.h"

namespace carat {

double mean(std::span<const double> values) {
  if (values.empty()) return 0;
  double sum = 0;
  for (const double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

double standard_error(std::span<const double> values) {
  const double n = static_cast<double>(values.size());
  if (n < 2) return 0;
  const double m = mean(values);
  double squares = 0;
  for (const double v : values) squares += (v - m) * (v - m);
  return std::sqrt(squares / (n - 1) / n);
}

double percentile(std::span<const double> values, double fraction) {
  CHECK(fraction >= 0 && fraction <= 1);
  if (values.empty()) return 0;
  for (const double v : values)  // they have no place in an order
    if (std::isnan(v)) return std::numeric_limits<double>::quiet_NaN();
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  const double position = fraction * static_cast<double>(sorted.size() - 1);
  const size_t low = static_cast<size_t>(position);
  const size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (position - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

double median(std::span<const double> values) { return percentile(values, 0.5); }

}  // namespace carat
