// A judgement as one HTML file that needs nothing else: no scripts, no fonts, no pictures from anywhere.
#pragma once

#include <span>
#include <string>

#include "eval/eval_report.h"

namespace carat {

std::string render_html(const EvalReport& report);
// Several judgements on one page, one after another under their titles.
std::string render_html(std::span<const EvalReport> reports);

}  // namespace carat
