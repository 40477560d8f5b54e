// Sentences: what a comparison, a recovery or a recommendation says in plain words.
#pragma once

#include <string>

#include "eval/eval_report.h"

namespace carat {

std::string sentence_of(const EvalReport& report, const Comparison& comparison);
std::string sentence_of(const EvalReport& report, const Recovery& recovery);
std::string sentence_of(const EvalReport& report, const Recommendation& recommendation);

// A row's name; with its KV type or precision where another row of the same file differs in it.
std::string label(const EvalReport& report, int row);

std::string format_bytes(uint64_t bytes);  // "4.79 GB", "131 kB"
std::string format_count(int64_t count);   // "12 345"

}  // namespace carat
