// Words: how figures are spelt wherever a judgement is shown, in the terminal and in HTML alike.
#pragma once

#include <string>

#include "eval/eval_report.h"

namespace carat {

std::string percent(double share, int digits = 1);       // "83.7 %"; "-" if not finite
std::string percent_interval(const Interval& share);     // "83.7 (82.9–84.5) %"
std::string signed_points(const Interval& share);        // "-1.15 (-1.60 to -0.70)"
std::string signed_nats(const Interval& nats);           // "+0.0243 (+0.0223 to +0.0263)"
std::string plus_minus(const Interval& share);           // "83.7 ± 0.8": half the interval's width, points
std::string nats(double value);                          // "0.0190", "1.9e-05" if small
std::string verdict_word(const Comparison* comparison);  // "-" where there is none
std::string more_items(const Comparison& comparison);    // "+2 400 items" or ""

}  // namespace carat
