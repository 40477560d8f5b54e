// The probability distributions that tests and intervals need: normal, Student's t, binomial.
#pragma once

#include <cstdint>

namespace carat {

double normal_cdf(double z);
double normal_quantile(double probability);  // 0 < probability < 1

double student_cdf(double t, double degrees);  // degrees > 0
double student_quantile(double probability, double degrees);

// P(X = k) and P(X <= k) for X ~ Binomial(n, 1/2).
double fair_binomial_pmf(int64_t k, int64_t n);
double fair_binomial_cdf(int64_t k, int64_t n);

}  // namespace carat
