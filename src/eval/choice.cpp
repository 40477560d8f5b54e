// Dominance, budgets and the recommendation.
#include "eval/choice.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "eval/sentences.h"
#include "eval/speed.h"

namespace carat {
namespace {

constexpr uint64_t kKibi = 1024;

Result<uint64_t> parse_amount(std::string_view text, std::string_view whole) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  if (unit.ends_with('B') || unit.ends_with('b')) unit.remove_suffix(1);
  if (unit.ends_with('i')) unit.remove_suffix(1);
  double scale = 0;
  if (unit.empty()) scale = 1;
  if (unit == "k" || unit == "K") scale = kKibi;
  if (unit == "m" || unit == "M") scale = kKibi * kKibi;
  if (unit == "g" || unit == "G") scale = kKibi * kKibi * kKibi;
  if (error != std::errc() || scale == 0 || !(value > 0) || value * scale > 1e18)
    return fail("budget '{}': '{}' is not an amount (expected e.g. 16G, 512M, 32k)", whole, text);
  return static_cast<uint64_t>(value * scale);
}

const ReportRow& row_of(const EvalReport& report, int row) { return report.rows[static_cast<size_t>(row)]; }

bool is_faster(const ReportRow& a, const ReportRow& b) {
  return a.decode_tok_s > (1 + kSpeedNoise) * b.decode_tok_s;
}

// At least as good in all, better in one.
bool dominates(const EvalReport& report, int a, int b) {
  const ReportRow &x = row_of(report, a), &y = row_of(report, b);
  const double qx = quality(report, a), qy = quality(report, b);
  if (qx < qy || x.memory_bytes > y.memory_bytes || is_faster(y, x)) return false;
  return qx > qy || x.memory_bytes < y.memory_bytes || is_faster(x, y);
}

// Cannot be told from the best: neither fewer right answers nor a higher NLL of the answers that would count.
bool ties_with(const EvalReport& report, const Sample& sample, int row, int best) {
  if (report.n_answers > 0) {
    const Interval accuracy = sample.difference(Sample::Quantity::right, row, best);
    if (accuracy.high < 0) return false;
  }
  const auto quantity = report.n_answers > 0 ? Sample::Quantity::answer_nll : Sample::Quantity::nll;
  const Interval nll = sample.difference(quantity, row, best);
  return !(nll.low > 0 && nll.high > report.margins.nll);
}

}  // namespace

Result<Budget> parse_budget(std::string_view text) {
  Budget budget;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view part = rest.substr(0, comma);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    const size_t equals = part.find('=');
    const std::string_view key = part.substr(0, equals);
    if (equals == std::string_view::npos || (key != "ram" && key != "vram" && key != "ctx"))
      return fail("budget '{}': expected ram=…, vram=… or ctx=…, found '{}'", text, part);
    const uint64_t amount = TRY(parse_amount(part.substr(equals + 1), text));
    if (key == "ram") budget.ram_bytes = amount;
    if (key == "vram") budget.vram_bytes = amount;
    if (key == "ctx") budget.n_ctx = static_cast<int64_t>(amount);
  }
  return budget;
}

bool is_candidate(const EvalReport& report, int row) {
  const ReportRow& r = row_of(report, row);
  return r.family != Family::control && r.precision == report.rows.front().precision;
}

double quality(const EvalReport& report, int row) {
  const ReportRow& r = row_of(report, row);
  return report.n_answers > 0 ? r.accuracy.estimate : -r.nll.estimate;
}

std::vector<ParetoPoint> pareto_front(const EvalReport& report) {
  std::vector<ParetoPoint> points;
  const int n_rows = static_cast<int>(report.rows.size());
  for (int row = 0; row < n_rows; ++row) {
    if (!is_candidate(report, row)) continue;
    bool dominated = false;
    for (int other = 0; other < n_rows; ++other)
      dominated = dominated || (other != row && is_candidate(report, other) && dominates(report, other, row));
    points.push_back({row, !dominated});
  }
  return points;
}

Recommendation recommend(const EvalReport& report, const Sample& sample, const Budget& budget) {
  Recommendation result;
  result.budget = budget;
  const uint64_t limit = budget.ram_bytes + budget.vram_bytes;
  for (int row = 0; row < static_cast<int>(report.rows.size()); ++row)
    if (is_candidate(report, row) && (limit == 0 || row_of(report, row).memory_bytes <= limit))
      result.fitting.push_back(row);
  const auto better = [&](int a, int b) {
    const double qa = quality(report, a), qb = quality(report, b);
    return qa != qb ? qa > qb : row_of(report, a).answer_nll.estimate < row_of(report, b).answer_nll.estimate;
  };
  std::stable_sort(result.fitting.begin(), result.fitting.end(), better);
  if (!result.fitting.empty()) {
    const int best = result.fitting.front();
    for (const int row : result.fitting)
      if (row == best || ties_with(report, sample, row, best)) result.tied.push_back(row);
    double fastest = 0;
    for (const int row : result.tied) fastest = std::max(fastest, row_of(report, row).decode_tok_s);
    for (const int row : result.tied) {
      const ReportRow& r = row_of(report, row);
      if ((1 + kSpeedNoise) * r.decode_tok_s < fastest) continue;
      if (result.row < 0 || r.memory_bytes < row_of(report, result.row).memory_bytes) result.row = row;
    }
  }
  result.sentence = sentence_of(report, result);
  return result;
}

}  // namespace carat
