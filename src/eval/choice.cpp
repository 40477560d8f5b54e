// Dominance, budgets and the recommendation.
#include "eval/choice.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "eval/pair_judgement.h"
#include "eval/sentences.h"
#include "eval/speed.h"

namespace carat {
namespace {

constexpr uint64_t kKibi = 1024;
constexpr double kMostBytes = 1e18, kMostTokens = 1e9;  // far beyond any machine, far from overflow

// "1.5GiB" -> 1.5, "GiB"; nullopt: no number.
std::optional<std::pair<double, std::string_view>> number_and_unit(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || !std::isfinite(value)) return std::nullopt;
  return std::pair(value, text.substr(static_cast<size_t>(end - text.data())));
}

// 0: not a unit.
double scale_of(std::string_view unit) {
  if (unit.empty()) return 1;
  if (unit == "k" || unit == "K") return kKibi;
  if (unit == "m" || unit == "M") return kKibi * kKibi;
  if (unit == "g" || unit == "G") return kKibi * kKibi * kKibi;
  if (unit == "t" || unit == "T") return static_cast<double>(kKibi) * kKibi * kKibi * kKibi;
  return 0;
}

// An amount of at least `least`, of bytes ("16G", "16GB", "16GiB", all the same) or of tokens ("32k").
Result<uint64_t> parse_amount(std::string_view text, bool is_bytes, double least, std::string_view whole) {
  const auto parts = number_and_unit(text);
  double amount = -1;
  if (parts) {
    std::string_view unit = parts->second;
    if (is_bytes && (unit.ends_with('B') || unit.ends_with('b'))) unit.remove_suffix(1);
    if (is_bytes && unit.size() == 2 && unit.ends_with('i')) unit.remove_suffix(1);
    if (const double scale = scale_of(unit); scale > 0) amount = parts->first * scale;
  }
  if (!(amount >= least && amount <= (is_bytes ? kMostBytes : kMostTokens)))
    return fail("budget '{}': '{}' is not an amount of {} (expected e.g. {})", whole, text,
                is_bytes ? "memory" : "tokens", is_bytes ? "16G or 512M" : "32k or 4096");
  return static_cast<uint64_t>(amount);
}

const ReportRow& row_of(const EvalReport& report, int row) { return report.rows[static_cast<size_t>(row)]; }

bool is_faster(const ReportRow& a, const ReportRow& b) {
  return a.decode_tok_s > (1 + kSpeedNoise) * b.decode_tok_s;
}

// Neither larger nor slower.
bool costs_no_more(const ReportRow& a, const ReportRow& b) {
  return a.memory_bytes <= b.memory_bytes && !is_faster(b, a);
}
bool costs_less(const ReportRow& a, const ReportRow& b) {
  return costs_no_more(a, b) && (a.memory_bytes < b.memory_bytes || is_faster(a, b));
}

// More right answers as they were seen, then lower NLL: an order for naming, not a verdict.
bool seems_better(const EvalReport& report, int a, int b) {
  const double qa = quality(report, a), qb = quality(report, b);
  return qa != qb ? qa > qb : row_of(report, a).answer_nll.estimate < row_of(report, b).answer_nll.estimate;
}

// Each row against `best`, which is among them.
std::vector<Verdict> against(const EvalReport& report, const Sample& sample, const std::vector<int>& rows,
                             int best) {
  std::vector<RowPair> pairs;
  for (const int row : rows)
    if (row != best) pairs.push_back({row, best});
  std::vector<Verdict> verdicts = quality_verdicts(report, sample, pairs);
  const auto at = std::find(rows.begin(), rows.end(), best) - rows.begin();
  verdicts.insert(verdicts.begin() + at, Verdict::tie);
  return verdicts;
}

// The fitting rows that no verdict puts behind the best. Where a row is called better than the one that seemed best
// (by its NLL, say), it takes that place.
std::vector<int> leaders(const EvalReport& report, const Sample& sample, const std::vector<int>& fitting) {
  int best = fitting.front();
  std::vector<Verdict> verdicts = against(report, sample, fitting, best);
  for (size_t tries = 1; tries < fitting.size(); ++tries) {
    const auto better = std::find(verdicts.begin(), verdicts.end(), Verdict::better);
    if (better == verdicts.end()) break;
    best = fitting[static_cast<size_t>(better - verdicts.begin())];
    verdicts = against(report, sample, fitting, best);
  }
  std::vector<int> result;
  for (size_t i = 0; i < fitting.size(); ++i)
    if (verdicts[i] != Verdict::worse) result.push_back(fitting[i]);
  return result;
}

}  // namespace

Result<Budget> parse_budget(std::string_view text) {
  Budget budget;
  std::set<std::string_view> seen;
  for (size_t begin = 0; begin <= text.size() && !text.empty();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    const std::string_view part = text.substr(begin, comma - begin);
    begin = comma + 1;
    const size_t equals = part.find('=');
    const std::string_view key = part.substr(0, equals);
    if (equals == std::string_view::npos || (key != "ram" && key != "vram" && key != "ctx"))
      return fail("budget '{}': expected ram=…, vram=… or ctx=…, found '{}'", text, part);
    if (!seen.insert(key).second) return fail("budget '{}': {} is given twice", text, key);
    // A machine without a graphics card may say so; without memory there is none.
    const uint64_t amount =
        TRY(parse_amount(part.substr(equals + 1), key != "ctx", key == "vram" ? 0 : 1, text));
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

bool reaches_context(const EvalReport& report, int row) {
  const int64_t longest = row_of(report, row).context_length;
  return longest == 0 || longest >= report.n_ctx;
}

std::vector<ParetoPoint> pareto_front(const EvalReport& report, const Sample& sample) {
  std::vector<int> rows;
  for (int row = 0; row < static_cast<int>(report.rows.size()); ++row)
    if (is_candidate(report, row)) rows.push_back(row);
  std::vector<RowPair> pairs;  // the first could push the second off the front
  for (const int row : rows)
    for (const int other : rows) {
      const ReportRow &a = row_of(report, row), &b = row_of(report, other);
      if (row != other && costs_no_more(a, b) && (row < other || !costs_no_more(b, a)))
        pairs.push_back({row, other});
    }
  const std::vector<Verdict> verdicts = quality_verdicts(report, sample, pairs);
  std::vector<bool> is_beaten(report.rows.size(), false);
  for (size_t i = 0; i < pairs.size(); ++i) {
    const auto [row, other] = pairs[i];
    const ReportRow &a = row_of(report, row), &b = row_of(report, other);
    if (verdicts[i] == Verdict::better || (verdicts[i] == Verdict::tie && costs_less(a, b)))
      is_beaten[static_cast<size_t>(other)] = true;
    if (verdicts[i] == Verdict::worse && costs_no_more(b, a)) is_beaten[static_cast<size_t>(row)] = true;
  }
  std::vector<ParetoPoint> points;
  for (const int row : rows) points.push_back({row, !is_beaten[static_cast<size_t>(row)]});
  return points;
}

Recommendation recommend(const EvalReport& report, const Sample& sample, const Budget& budget) {
  Recommendation result;
  result.budget = budget;
  result.budget.n_ctx = report.n_ctx;
  result.enough_data = report.n_items >= kFewestItems;
  for (int row = 0; row < static_cast<int>(report.rows.size()); ++row) {
    const bool fits = budget.ram_bytes == 0 || row_of(report, row).memory_bytes <= budget.ram_bytes;
    if (is_candidate(report, row) && fits && reaches_context(report, row)) result.fitting.push_back(row);
  }
  std::stable_sort(result.fitting.begin(), result.fitting.end(),
                   [&](int a, int b) { return seems_better(report, a, b); });
  if (!result.fitting.empty()) {
    result.tied = leaders(report, sample, result.fitting);
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
