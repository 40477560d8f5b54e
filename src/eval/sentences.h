// Sentences: what a comparison, a recovery, a cache's effect or a recommendation says in plain words.
#pragma once

#include <string>

#include "eval/eval_report.h"

namespace carat {

std::string sentence_of(const EvalReport& report, const Comparison& comparison);
std::string sentence_of(const EvalReport& report, const Recovery& recovery);
std::string sentence_of(const EvalReport& report, const CacheEffect& effect);
std::string sentence_of(const EvalReport& report, const Recommendation& recommendation);

// How a sequential judgement went: when it looked, what is still open, how false calls were kept rare. Empty: it was none.
std::string sentence_of_looks(const EvalReport& report);

// A row's name; with its KV type or precision where another row of the same file differs in it.
std::string label(const EvalReport& report, int row);

// "About 1 200 more items would settle it.", or that no number would.
std::string settling(const EvalReport& report, int64_t n_more_items);

std::string format_bytes(uint64_t bytes);  // "4.79 GB", "131 kB"
std::string format_count(int64_t count);   // "12 345"

}  // namespace carat
