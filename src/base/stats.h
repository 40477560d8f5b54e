// Elementary statistics shared by the judge, the benches and the trainer. Sums are in double, in index order.
#pragma once

#include <span>

namespace carat {

double mean(std::span<const double> values);                // 0 for none
double standard_error(std::span<const double> values);      // of the mean, n-1 in the denominator; 0 for n < 2
// Linear interpolation at fraction·(n-1), the rule of llama.cpp's perplexity tool; sorts a copy. 0 for none.
// `fraction` is in [0, 1] (CHECKed). NaN if any value is one: a broken model may make them.
double percentile(std::span<const double> values, double fraction);
double median(std::span<const double> values);

}  // namespace carat
