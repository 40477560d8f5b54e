// Mistakes in reading results: one function each.
#include <algorithm>
#include <set>

#include "eval/choice.h"
#include "eval/guards.h"
#include "eval/sentences.h"

namespace carat {
namespace {

using Warnings = std::vector<Warning>;

// The smallest true difference that 4 of 5 such suites would find.
void too_few_items(const EvalReport& report, Warnings& warnings) {
  if (report.n_answers == 0) return;
  double reach = 0;
  for (const Comparison& c : report.comparisons)
    if (c.table == Comparison::Table::truth || c.table == Comparison::Table::headline)
      reach = std::max(reach, (c.accuracy.high - c.accuracy.low) / 2 * (1.96 + 0.84) / 1.96);
  reach = std::min(reach, 1.0);
  if (report.n_items < 100 || reach > 0.03)
    warnings.push_back(
        {"too-few-items",
         fmt::format("{} items with {} answers: differences in exact match below {:.1f} points will "
                     "mostly be missed",
                     format_count(report.n_items), format_count(report.n_answers), 100 * reach)});
}

void perplexity_across_parents(const EvalReport& report, Warnings& warnings) {
  std::set<Family> families;
  for (const ReportRow& row : report.rows) families.insert(row.family);
  if (families.size() > 1)
    warnings.push_back(
        {"perplexity-across-parents",
         "NLL per token (perplexity) is shown but ranks nothing here: training alone moves it. Files of "
         "different parents are ranked by answers only"});
}

void uninformative_categories(const EvalReport& report, Warnings& warnings) {
  std::string saturated;
  for (const CategoryScore& c : report.rows[static_cast<size_t>(report.reference)].categories)
    if (c.accuracy.estimate > 0.98) saturated += (saturated.empty() ? "" : ", ") + c.category;
  if (!saturated.empty())
    warnings.push_back({"saturated", fmt::format("the reference answers nearly everything right in {}: these "
                                                 "categories cannot show a gain and hardly a loss",
                                                 saturated)});
}

void near_chance(const EvalReport& report, Warnings& warnings) {
  if (!report.near_chance) return;
  const ReportRow& row = report.rows[static_cast<size_t>(report.reference)];
  const double nll = report.n_answers > 0 ? row.answer_nll.estimate : row.nll.estimate;
  const std::string right =
      report.n_answers > 0 ? fmt::format("{:.1f} % right answers, ", 100 * row.accuracy.estimate) : "";
  warnings.push_back(
      {"near-chance", fmt::format("the reference {} hardly does better than guessing ({}NLL {:.2f} nat): nothing "
                                  "can be lost there, so exact match has no say, and the NLL says little about "
                                  "quality. Is this the suite, the template and the language of these files?",
                                  row.name, right, nll)});
}

// More bytes are a reason of their own to be better.
void unequal_sizes(const EvalReport& report, Warnings& warnings) {
  constexpr double kAlike = 1.15;
  std::string pairs;
  int n_more = 0;
  for (const Comparison& c : report.comparisons) {
    if (c.table != Comparison::Table::headline || report.rows[static_cast<size_t>(c.row)].kv != report.rows.front().kv)
      continue;
    const ReportRow &qat = report.rows[static_cast<size_t>(c.row)], &other = report.rows[static_cast<size_t>(c.reference)];
    const bool larger_won = qat.bytes > other.bytes ? c.verdict == Verdict::better : c.verdict == Verdict::worse;
    const auto [small, large] = std::minmax(qat.bytes, other.bytes);
    if (!larger_won || static_cast<double>(large) < kAlike * static_cast<double>(std::max<uint64_t>(small, 1))) continue;
    if (!pairs.empty() && ++n_more > 2) continue;
    pairs += fmt::format("{}{} and {} ({} and {})", pairs.empty() ? "" : "; ", label(report, c.row),
                         label(report, c.reference), format_bytes(qat.bytes), format_bytes(other.bytes));
  }
  if (n_more > 2) pairs += fmt::format("; and {} more", n_more - 2);
  if (!pairs.empty())
    warnings.push_back({"unequal-size", fmt::format("the better file is also the larger one: {}. Ask what the same "
                                                    "memory buys, see quality against memory",
                                                    pairs)});
}

void unreachable_context(const EvalReport& report, Warnings& warnings) {
  std::string names;
  for (size_t r = 0; r < report.rows.size(); ++r) {
    const ReportRow& row = report.rows[r];
    const bool is_first = row.kv == report.rows.front().kv && row.precision == report.rows.front().precision;
    if (is_first && !reaches_context(report, static_cast<int>(r)))
      names += fmt::format("{}{} ({})", names.empty() ? "" : ", ", row.name, format_count(row.context_length));
  }
  if (!names.empty())
    warnings.push_back(
        {"context", fmt::format("a context of {} tokens is longer than these files are made for: {}. They do not "
                                "fit the budget, and their memory is that of their own longest context",
                                format_count(report.n_ctx), names)});
}

}  // namespace

std::vector<Warning> guard_results(const EvalReport& report) {
  Warnings warnings;
  too_few_items(report, warnings);
  perplexity_across_parents(report, warnings);
  uninformative_categories(report, warnings);
  near_chance(report, warnings);
  unequal_sizes(report, warnings);
  unreachable_context(report, warnings);
  return warnings;
}

}  // namespace carat
