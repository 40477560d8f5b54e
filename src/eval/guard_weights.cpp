// The files' own rounding errors, beside what rounding the parent costs.
#include "eval/guard_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/file_facts.h"
#include "quant/codec.h"

namespace carat {
namespace {

// The searches of importance matrices and of error compensation move weights further than plain rounding does, by up
// to a half; further training moves them by several times as much.
constexpr double kMostOfRounding = 2;
// Types without an encoder here: no published one loses so much.
constexpr double kMostOfAny = 0.7;

double median_error(const TensorErrors& errors) {
  std::vector<double> values;
  for (const double error : errors.errors)
    if (std::isfinite(error) && error > 0) values.push_back(error);
  if (values.empty()) return 0;
  std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

}  // namespace

std::vector<Warning> guard_weights(const CompareRequest& request, const EvalReport& report) {
  std::vector<Warning> warnings;
  for (const TensorErrors& errors : report.tensor_errors) {
    const ReportRow& row = report.rows[static_cast<size_t>(errors.row)];
    const ReportRow& parent = report.rows[static_cast<size_t>(row.parent)];
    const double error = median_error(errors);
    const bool is_known = !is_block_type(row.main_type) || can_encode(row.main_type);
    const double rounding = rounding_error(*request.files[static_cast<size_t>(parent.file)].model, row.main_type);
    const double most = is_known ? kMostOfRounding * std::max(rounding, 0.01) : kMostOfAny;
    if (error > most)
      warnings.push_back(
          {"wrong-parent",
           fmt::format("{} was hardly made from {}: its matrices differ from that file's by {:.1f} %, and rounding "
                       "that file to {} would change them by {:.1f} %. Its divergence then measures the training "
                       "between the two, not the quantization",
                       row.name, parent.name, 100 * error, type_name(row.main_type), 100 * rounding)});
  }
  return warnings;
}

}  // namespace carat
