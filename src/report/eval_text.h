// A judgement as text for the terminal: first one line per file with its verdicts, then plain sentences, then
// the figures behind them.
#pragma once

#include <string>

#include "eval/eval_report.h"
#include "eval/perplexity.h"
#include "report/text_table.h"

namespace carat {

std::string render_text(const EvalReport& report, const Style& style, int width);
std::string render_text(const PerplexityReport& report);

}  // namespace carat
