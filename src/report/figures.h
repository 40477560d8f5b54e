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

// What share of the tokens reaches which KL divergence from the parent, one line per file. "": nothing to draw, as below.
std::string distribution_figure(const EvalReport& report, FigureWidth width);

// Differences in right answers to the reference by category, with intervals; one panel per file.
std::string category_figure(const EvalReport& report, FigureWidth width);

// Relative error of each matrix, layers across.
std::string tensor_figure(const TensorErrors& errors, FigureWidth width);

}  // namespace carat
