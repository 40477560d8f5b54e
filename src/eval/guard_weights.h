// A guard that looks at the weights: was this file made from the parent that it is said to have?
#pragma once

#include <vector>

#include "eval/compare.h"

namespace carat {

// A file whose matrices are much further from its parent's than rounding the parent's to the same type would bring
// them comes from other weights: typically a QAT file that is given the original as its parent, or the reverse. Its
// divergence then measures the training, not the quantization.
std::vector<Warning> guard_weights(const CompareRequest& request, const EvalReport& report);

}  // namespace carat
