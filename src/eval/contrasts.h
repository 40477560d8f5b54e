// Contrasts of four rows: how much of quantization's damage QAT removes, and whether QAT suffers more from a
// quantized cache than the original does.
#pragma once

#include <vector>

#include "eval/eval_report.h"
#include "eval/sample.h"

namespace carat {

// Of every quantized QAT row under the reference's conditions. `report` needs its rows and its reference.
std::vector<Recovery> recoveries(const EvalReport& report, const Sample& sample);

// Of every QAT row with another KV type than the first: against the original quantized in the same way (the same
// mix of types if there is one, otherwise the same main type), or against the original itself. Sentences are left
// empty.
std::vector<CacheEffect> cache_effects(const EvalReport& report, const Sample& sample);

}  // namespace carat
