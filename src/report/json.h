// Reports as JSON. Keys are named after the columns of the tables.
#pragma once

#include <span>
#include <string>

#include "eval/eval_report.h"
#include "eval/perplexity.h"

namespace carat {

std::string to_json(const EvalReport& report);
std::string to_json(std::span<const EvalReport> reports);  // a list
std::string to_json(const PerplexityReport& report);

// The JSON Schema (draft 2020-12) of a list of judgements.
std::string report_schema();

}  // namespace carat
