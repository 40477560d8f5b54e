// Judgements read back from the JSON that `compare --json` wrote, here or on another machine.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "eval/eval_report.h"

namespace carat {

// One judgement or a list of them. Intervals lose the number of items that they rest on, judgements their need of
// more items; all else comes back as it was. Errors name the place and what was expected there.
Result<std::vector<EvalReport>> read_reports(std::string_view text);

}  // namespace carat
