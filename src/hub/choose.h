// Which files of a repository somebody means.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace carat::hub {

// One model: a file, or all parts of a split one in order.
using ModelFiles = std::vector<std::string>;

// A split model that is not all there: an upload or a download that was cut off.
struct IncompleteModel {
  ModelFiles files;                                   // the parts that are there, in order; at least one
  int n_parts = 0, n_missing = 0, first_missing = 0;  // 1 <= first_missing <= n_parts

  // "part 2 of 3 is missing"
  std::string problem() const;
};

struct FoundModels {
  std::vector<ModelFiles> whole;
  std::vector<IncompleteModel> incomplete;

  bool empty() const { return whole.empty() && incomplete.empty(); }
};

// Everything that `what` may mean among `paths`, in their order. A path or a file name (any case) means
// itself, whatever it is, with the other parts where it is one. Anything else is looked for in the names of
// models (.gguf, no projector of pictures or sound, no importance matrix, unless `what` asks for them) as a
// whole word or several: "Q4_0" is in "E4B_q4_0-it.gguf", not in "Q4_0_4_4" or "IQ4_0". Empty: all models.
// Incomplete models keep nobody from the others: whether they are an error is the caller's to say. Takes
// n log n for n paths.
FoundModels find_models(std::span<const std::string> paths, std::string_view what);

}  // namespace carat::hub
