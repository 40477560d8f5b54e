// Formats of words.h.
#include "report/words.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/sentences.h"

namespace carat {

namespace {

// " (82.9–84.5)", each end in `format`; " (-)" where an end is infinite.
template <class Format>
std::string in_brackets(const Interval& i, double scale, std::string_view to, const Format& format) {
  if (!std::isfinite(i.low) || !std::isfinite(i.high)) return " (-)";
  return fmt::format(" ({}{}{})", format(scale * i.low), to, format(scale * i.high));
}

std::string one_digit(double value) { return fmt::format("{:.1f}", value); }

}  // namespace

std::string percent(double share, int digits) {
  return std::isfinite(share) ? fmt::format("{:.{}f} %", 100 * share, digits) : "-";
}

std::string percent_interval(const Interval& share) {
  if (!std::isfinite(share.estimate)) return "-";
  return fmt::format("{:.1f}{} %", 100 * share.estimate, in_brackets(share, 100, "–", one_digit));
}

std::string signed_points(const Interval& share) {
  if (!std::isfinite(share.estimate)) return "-";
  const auto format = [](double v) { return fmt::format("{:+.2f}", v); };
  return format(100 * share.estimate) + in_brackets(share, 100, " to ", format);
}

std::string signed_number(double value, int digits) {
  return std::isfinite(value) ? fmt::format("{:+.{}f}", value, digits) : "-";
}

std::string signed_nats(const Interval& value) {
  if (!std::isfinite(value.estimate)) return "-";
  const auto format = [](double v) { return fmt::format("{:+.4f}", v); };
  return format(value.estimate) + in_brackets(value, 1, " to ", format);
}

std::string plus_minus(const Interval& share) {
  constexpr double kStep = 0.1;  // of what is printed
  if (!std::isfinite(share.estimate)) return "-";
  if (!std::isfinite(share.low) || !std::isfinite(share.high))
    return fmt::format("{:.1f} ± -", 100 * share.estimate);
  const double below = 100 * (share.estimate - share.low), above = 100 * (share.high - share.estimate);
  if (std::fabs(above - below) > kStep)
    return fmt::format("{:.1f}{}", 100 * share.estimate, in_brackets(share, 100, "–", one_digit));
  return fmt::format("{:.1f} ± {:.1f}", 100 * share.estimate, (below + above) / 2);
}

std::string nats(double value) {
  if (!std::isfinite(value)) return "-";
  if (value != 0 && std::fabs(value) < 5e-4) return fmt::format("{:.1e}", value);
  return fmt::format("{:.4f}", value);
}

std::string verdict_word(const Comparison* comparison) {
  return comparison == nullptr ? "-" : std::string(to_string(comparison->verdict));
}

std::string more_items(int64_t n_more_items) {
  return n_more_items > 0 ? fmt::format("+{} items", format_count(n_more_items)) : "";
}

std::string wins_words(const EvalReport& report, const Divergence& d) {
  if (d.wins_over < 0) return "";
  std::string words = fmt::format("{} on {} of {} prompts", label(report, d.wins_over), format_count(d.wins),
                                  format_count(d.n_prompts));
  if (d.n_equal > 0) words += fmt::format(" ({} equal)", format_count(d.n_equal));
  return words;
}

std::string on_policy_words(const EvalReport& report) {
  int64_t n_texts = 0, n_tokens = 0;
  for (const OnPolicyText& t : report.on_policy_texts) n_texts += t.n_texts, n_tokens += t.n_tokens;
  return fmt::format("along {} texts of {} tokens that the parents wrote", format_count(n_texts),
                     format_count(n_tokens));
}

std::string machine_words(const Elsewhere& e) {
  std::string text = fmt::format("On {} ({} threads, {}), its figures are within {:.2f} points of right answers and "
                                 "{:.2g} nat of those shown.",
                                 e.machine, e.n_threads, e.version.empty() ? "version not stated" : e.version,
                                 100 * e.accuracy_distance, e.nll_distance);
  if (!e.recommendation.empty()) text += " " + e.recommendation;
  return text;
}

PlainList plain_list(const EvalReport& report, Comparison::Table table, size_t n_shown) {
  PlainList list;
  for (const Comparison& c : report.comparisons) {
    if (c.table != table || report.rows[static_cast<size_t>(c.row)].kv != report.rows.front().kv) continue;
    if (list.shown.size() < n_shown)
      list.shown.push_back(&c);
    else
      ++list.n_left_out;
  }
  return list;
}

std::string left_out(int64_t n) { return fmt::format("And {} more in the tables.", format_count(n)); }

Comparison::Table leading_table(const EvalReport& report) {
  const auto is_headline = [](const Comparison& c) { return c.table == Comparison::Table::headline; };
  return std::any_of(report.comparisons.begin(), report.comparisons.end(), is_headline)
             ? Comparison::Table::headline
             : Comparison::Table::truth;
}

}  // namespace carat
