// Guards: the mistakes that judgements of quantized files are known for, found and named.
#pragma once

#include "eval/compare.h"
#include "eval/plan.h"

namespace carat {

// Mistakes that the files and the suite show, whatever the results.
std::vector<Warning> guard_request(const CompareRequest& request, const Suite& suite, const Plan& plan);
// Mistakes that would be made in reading the results.
std::vector<Warning> guard_results(const EvalReport& report);

}  // namespace carat
