// Formats of words.h.
#include "report/words.h"

#include <fmt/format.h>

#include <cmath>

#include "eval/sentences.h"

namespace carat {

std::string percent(double share, int digits) {
  return std::isfinite(share) ? fmt::format("{:.{}f} %", 100 * share, digits) : "-";
}

std::string percent_interval(const Interval& share) {
  if (!std::isfinite(share.estimate)) return "-";
  return fmt::format("{:.1f} ({:.1f}–{:.1f}) %", 100 * share.estimate, 100 * share.low, 100 * share.high);
}

std::string signed_points(const Interval& share) {
  if (!std::isfinite(share.estimate)) return "-";
  return fmt::format("{:+.2f} ({:+.2f} to {:+.2f})", 100 * share.estimate, 100 * share.low, 100 * share.high);
}

std::string signed_nats(const Interval& value) {
  if (!std::isfinite(value.estimate)) return "-";
  return fmt::format("{:+.4f} ({:+.4f} to {:+.4f})", value.estimate, value.low, value.high);
}

std::string plus_minus(const Interval& share) {
  if (!std::isfinite(share.estimate)) return "-";
  return fmt::format("{:.1f} ± {:.1f}", 100 * share.estimate, 50 * (share.high - share.low));
}

std::string nats(double value) {
  if (!std::isfinite(value)) return "-";
  if (value != 0 && std::fabs(value) < 5e-4) return fmt::format("{:.1e}", value);
  return fmt::format("{:.4f}", value);
}

std::string verdict_word(const Comparison* comparison) {
  return comparison == nullptr ? "-" : std::string(to_string(comparison->verdict));
}

std::string more_items(const Comparison& comparison) {
  return comparison.n_more_items > 0 ? fmt::format("+{} items", format_count(comparison.n_more_items)) : "";
}

}  // namespace carat
