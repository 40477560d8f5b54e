// A judgement as one HTML file that needs nothing else: no scripts, no fonts, no pictures from anywhere.
#pragma once

#include <string>

#include "eval/eval_report.h"

namespace carat {

std::string render_html(const EvalReport& report);

}  // namespace carat
