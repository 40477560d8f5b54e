// Mistakes in reading results: one function each.
#include <algorithm>
#include <set>

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

}  // namespace

std::vector<Warning> guard_results(const EvalReport& report) {
  Warnings warnings;
  too_few_items(report, warnings);
  perplexity_across_parents(report, warnings);
  uninformative_categories(report, warnings);
  return warnings;
}

}  // namespace carat
