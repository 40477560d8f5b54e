// Which files of a repository somebody means.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace carat::hub {

// One model: a file, or all parts of a split one in order.
using ModelFiles = std::vector<std::string>;

// Everything that `what` may mean among `paths`, in their order. A path or a file name (any case) means
// itself, whatever it is, with the other parts where it is one. Anything else is looked for in the names of
// models (.gguf, no projector of pictures or sound, no importance matrix, unless `what` asks for them) as a
// whole word or several: "Q4_0" is in "E4B_q4_0-it.gguf", not in "Q4_0_4_4" or "IQ4_0". Empty: all models.
// Errors: a split model whose parts are not all there.
Result<std::vector<ModelFiles>> find_models(std::span<const std::string> paths, std::string_view what);

}  // namespace carat::hub
