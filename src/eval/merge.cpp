// Rows are told by their file's fingerprint, never by name.
#include "eval/merge.h"

#include <algorithm>
#include <cmath>

namespace carat {
namespace {

bool is_same(const ReportRow& a, const ReportRow& b) {
  return !a.fingerprint.empty() && a.fingerprint == b.fingerprint && a.kv == b.kv && a.precision == b.precision;
}

int find_row(const EvalReport& report, const ReportRow& row) {
  for (size_t r = 0; r < report.rows.size(); ++r)
    if (is_same(report.rows[r], row)) return static_cast<int>(r);
  return -1;
}

bool can_join(const EvalReport& report, const EvalReport& other) {
  return report.suite_hash == other.suite_hash && report.n_items == other.n_items && report.n_ctx == other.n_ctx &&
         std::all_of(other.rows.begin(), other.rows.end(),
                     [&](const ReportRow& row) { return find_row(report, row) >= 0; });
}

void widen(double& distance, double a, double b) {
  if (std::isfinite(a) && std::isfinite(b)) distance = std::max(distance, std::fabs(a - b));
}

void join(EvalReport& report, const EvalReport& other) {
  Elsewhere elsewhere{other.machine, other.version, other.n_threads, other.seconds, {}, 0, 0,
                      other.recommendation ? other.recommendation->sentence : ""};
  for (const ReportRow& theirs : other.rows) {
    const int r = find_row(report, theirs);
    const ReportRow& ours = report.rows[static_cast<size_t>(r)];
    elsewhere.rows.push_back({r, theirs.prefill_tok_s, theirs.decode_tok_s, theirs.resident_bytes});
    widen(elsewhere.accuracy_distance, ours.accuracy.estimate, theirs.accuracy.estimate);
    if (report.n_answers > 0)
      widen(elsewhere.nll_distance, ours.answer_nll.estimate, theirs.answer_nll.estimate);
    else
      widen(elsewhere.nll_distance, ours.nll.estimate, theirs.nll.estimate);
  }
  report.elsewhere.push_back(std::move(elsewhere));
  for (const Elsewhere& further : other.elsewhere) {
    report.elsewhere.push_back(further);  // of a report that had been merged before
    for (Elsewhere::Row& row : report.elsewhere.back().rows)
      row.row = find_row(report, other.rows[static_cast<size_t>(row.row)]);
  }
}

}  // namespace

std::vector<EvalReport> merge(std::vector<EvalReport> reports) {
  std::stable_sort(reports.begin(), reports.end(),
                   [](const EvalReport& a, const EvalReport& b) { return a.rows.size() > b.rows.size(); });
  std::vector<EvalReport> merged;
  for (EvalReport& report : reports) {
    const auto host = std::find_if(merged.begin(), merged.end(),
                                   [&](const EvalReport& candidate) { return can_join(candidate, report); });
    if (host == merged.end())
      merged.push_back(std::move(report));
    else
      join(*host, report);
  }
  return merged;
}

}  // namespace carat
