// What all figures share: their two widths, the names of classes, logarithmic axes.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>

#include "eval/eval_report.h"
#include "report/figures.h"
#include "report/svg.h"

namespace carat {

inline constexpr double kFigureFont = 12;

inline std::string_view family_class(Family family) {
  return family == Family::original ? "original" : family == Family::qat ? "qat" : "control";
}

inline std::string_view verdict_class(Verdict verdict) {
  switch (verdict) {
    case Verdict::better:
      return "better";
    case Verdict::worse:
      return "worse";
    case Verdict::tie:
      return "tie";
    case Verdict::not_enough_data:
      return "open";
  }
  return "";
}

inline double figure_width(FigureWidth width) { return width == FigureWidth::wide ? 1000 : 360; }
inline std::string_view figure_class(FigureWidth width) { return width == FigureWidth::wide ? "wide" : "narrow"; }

// From values to pixels; either end may be the larger one.
struct Scale {
  double low, high;  // values
  double from, to;   // pixels
  bool is_log = false;

  double operator()(double value) const {
    const double share = is_log ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
    return from + share * (to - from);
  }
};

// First KV type, not the noise floor: the rows that most pictures show.
inline bool is_shown(const EvalReport& report, int row) {
  const ReportRow &r = report.rows[static_cast<size_t>(row)], &first = report.rows.front();
  return r.kv == first.kv && r.precision == first.precision;
}

}  // namespace carat
