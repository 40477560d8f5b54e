// Choice: the Pareto front of quality, memory and speed, and the file to run within a budget.
#pragma once

#include <string_view>

#include "base/result.h"
#include "eval/eval_report.h"
#include "eval/sample.h"

namespace carat {

// "ram=16G,vram=8G,ctx=32k": any of the three, each at most once; units are powers of 1024, ctx counts tokens. Of
// ram and ctx there must be some; vram may be 0.
Result<Budget> parse_budget(std::string_view text);

// Rows that somebody could choose to run: not a control, not the noise floor.
bool is_candidate(const EvalReport& report, int row);

// Better quality: more right answers, or, where the suite has none, lower NLL.
double quality(const EvalReport& report, int row);

// Quality in words: a file leaves the front for one that is neither larger nor slower, and better by verdict, or a
// tie and smaller or faster. What cannot be told apart stays.
std::vector<ParetoPoint> pareto_front(const EvalReport& report, const Sample& sample);

// Whether the file is made for as many tokens as the report's context.
bool reaches_context(const EvalReport& report, int row);

// The best candidate that fits the RAM (nothing runs on a GPU yet: VRAM does not count) and reaches the context; of
// those that no verdict tells from the best, the fastest (unmeasured: the smallest).
Recommendation recommend(const EvalReport& report, const Sample& sample, const Budget& budget);

}  // namespace carat
