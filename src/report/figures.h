// Figures: the pictures of a judgement as inline SVG. Each exists in two widths, because text in a picture
// that is scaled down to a phone cannot be read; CSS shows one of them.
#pragma once

#include <string>
#include <vector>

#include "eval/eval_report.h"

namespace carat {

enum class FigureWidth { wide, narrow };

// Quality against memory with error bars, the Pareto front and labels.
std::string pareto_figure(const EvalReport& report, FigureWidth width);

struct BarRow {
  std::string label;
  Family family;
  Interval value;
  std::string words;  // at the bar's end
};

// Horizontal bars from 0 with their intervals.
std::string bar_figure(const std::vector<BarRow>& rows, const std::string& axis, FigureWidth width);

}  // namespace carat
