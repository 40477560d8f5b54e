// Rows of a judgement from its files: the part of planning that looks into them.
#include <algorithm>

#include "eval/file_facts.h"
#include "eval/plan.h"

namespace carat {

std::vector<ReportRow> plan_rows(const CompareRequest& request, int64_t n_ctx) {
  std::vector<ReportRow> rows;
  const int n_files = static_cast<int>(request.files.size());
  for (size_t k = 0; k < request.kv_types.size(); ++k)
    for (int f = 0; f < n_files; ++f) {
      const CompareFile& file = request.files[static_cast<size_t>(f)];
      ReportRow row = k == 0 ? describe_file(file) : rows[static_cast<size_t>(f)];
      row.file = f;
      const bool is_used = std::any_of(request.files.begin(), request.files.end(),
                                       [&](const CompareFile& other) { return other.parent == f; });
      row.is_parent = file.parent < 0 && (is_used || !is_block_type(row.main_type));
      // The first KV type's rows come first, in the order of the files: a file's index is its row's.
      row.parent = file.parent >= 0 ? file.parent : (k > 0 && row.is_parent ? f : -1);
      row.kv = request.kv_types[k];
      row.precision = request.precision;
      row.memory_bytes = memory_bytes(*file.model, n_ctx, row.kv);
      rows.push_back(std::move(row));
    }
  if (!request.noise_floor) return rows;
  // The engine's own noise shows on quantized weights: the largest file that has any.
  int noisy = -1;
  for (int f = 0; f < n_files; ++f) {
    const ReportRow& row = rows[static_cast<size_t>(f)];
    if (is_block_type(row.main_type) && (noisy < 0 || row.bytes > rows[static_cast<size_t>(noisy)].bytes))
      noisy = f;
  }
  if (noisy >= 0) {
    ReportRow row = rows[static_cast<size_t>(noisy)];
    row.precision = request.precision == Precision::exact ? Precision::fast : Precision::exact;
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace carat
