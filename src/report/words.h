// Words: how figures are spelt wherever a judgement is shown, in the terminal and in HTML alike.
#pragma once

#include <string>
#include <vector>

#include "eval/eval_report.h"

namespace carat {

// What is not finite is "-", wherever it stands.
std::string percent(double share, int digits = 1);    // "83.7 %"
std::string percent_interval(const Interval& share);  // "83.7 (82.9–84.5) %"
std::string signed_points(const Interval& share);     // "-1.15 (-1.60 to -0.70)"
std::string signed_nats(const Interval& nats);        // "+0.0243 (+0.0223 to +0.0263)"
std::string signed_number(double value, int digits);  // "+0.0243"
// "83.7 ± 0.8": half the interval's width, in points; "0.0 (0.0–49.4)" where its arms differ by more than the last
// digit shows.
std::string plus_minus(const Interval& share);
std::string nats(double value);                          // "0.0190", "1.9e-05" if small
std::string verdict_word(const Comparison* comparison);  // "-" where there is none
std::string more_items(int64_t n_more_items);            // "+2 400 items" or ""
// "lab-s-q4_0 on 1 400 of 1 490 prompts (10 equal)", of a row's divergence from its parent; "" where nothing is
// compared.
std::string wins_words(const EvalReport& report, const Divergence& divergence);

// "along 120 texts of 9 600 tokens that the parents wrote": what on-policy divergences were measured on.
std::string on_policy_words(const EvalReport& report);

// "On X (2 threads, carat 0.3): figures within 0.02 points and 0.0001 nat of those shown. Within 8 GiB RAM … run …"
std::string machine_words(const Elsewhere& elsewhere);

// Comparisons of one table whose sentences a report shows: those with the first KV type, at most `n_shown`.
struct PlainList {
  std::vector<const Comparison*> shown;
  int64_t n_left_out = 0;
};
PlainList plain_list(const EvalReport& report, Comparison::Table table, size_t n_shown);
std::string left_out(int64_t n);  // "And 5 more in the tables."
// What to put into words first: head-to-heads if there are any, otherwise every file against the reference.
Comparison::Table leading_table(const EvalReport& report);

}  // namespace carat
