// Closed forms where there are any, a continued fraction for the incomplete beta function, bisection for
// inverses: a judgement asks for a few hundred quantiles, so plainness wins over speed.
#include "eval/distributions.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace carat {
namespace {

// std::lgamma writes the sign into a global: a race between threads.
double log_gamma(double x) {
  int sign = 0;
  return ::lgamma_r(x, &sign);
}

// Continued fraction of the incomplete beta function by the modified Lentz method.
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  double c = 1;
  double d = 1 - (a + b) * x / (a + 1);
  if (std::fabs(d) < kTiny) d = kTiny;
  d = 1 / d;
  double result = d;
  const auto step = [&](double numerator) {
    d = 1 + numerator * d;
    if (std::fabs(d) < kTiny) d = kTiny;
    c = 1 + numerator / c;
    if (std::fabs(c) < kTiny) c = kTiny;
    d = 1 / d;
    result *= d * c;
    return d * c;
  };
  for (int m = 1; m <= 500; ++m) {
    step(m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)));
    const double factor = step(-(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)));
    if (std::fabs(factor - 1) < 1e-15) break;
  }
  return result;
}

// Regularised incomplete beta function I_x(a, b).
double incomplete_beta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double log_front =
      log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * std::log(x) + b * std::log1p(-x);
  const double front = std::exp(log_front);
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
  return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

// The root of cdf(x) = target in [low, high]: Newton's steps where they stay inside, halving where they do
// not.
template <class Cdf, class Density>
double invert(Cdf&& cdf, Density&& density, double target, double low, double high, double start) {
  double x = start;
  for (int i = 0; i < 200; ++i) {
    const double excess = cdf(x) - target;
    (excess < 0 ? low : high) = x;
    double next = x - excess / density(x);
    if (!(next > low && next < high)) next = low + (high - low) / 2;
    if (std::fabs(next - x) <= 1e-15 * std::fabs(x)) return next;
    x = next;
  }
  return x;
}

double normal_density(double z) { return std::exp(-z * z / 2) / std::sqrt(2 * M_PI); }

double student_density(double t, double degrees) {
  const double log_scale =
      log_gamma((degrees + 1) / 2) - log_gamma(degrees / 2) - 0.5 * std::log(degrees * M_PI);
  return std::exp(log_scale - (degrees + 1) / 2 * std::log1p(t * t / degrees));
}

}  // namespace

double normal_cdf(double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); }

double normal_quantile(double probability) {
  CHECK(probability > 0 && probability < 1);
  if (probability == 0.5) return 0;
  if (probability > 0.5) return -normal_quantile(1 - probability);
  return invert(normal_cdf, normal_density, probability, -39.0, 0.0, -1.5);
}

double student_cdf(double t, double degrees) {
  CHECK(degrees > 0);
  if (!std::isfinite(degrees)) return normal_cdf(t);
  const double tail = 0.5 * incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t));
  return t > 0 ? 1 - tail : tail;
}

double student_quantile(double probability, double degrees) {
  CHECK(probability > 0 && probability < 1);
  if (probability == 0.5) return 0;
  if (probability > 0.5) return -student_quantile(1 - probability, degrees);
  double low = -1;
  while (student_cdf(low, degrees) > probability && low > -1e300) low *= 2;
  return invert([degrees](double t) { return student_cdf(t, degrees); },
                [degrees](double t) { return student_density(t, degrees); }, probability, low, 0.0,
                std::max(low, normal_quantile(probability)));
}

double fair_binomial_pmf(int64_t k, int64_t n) {
  if (k < 0 || k > n) return 0;
  const double nd = static_cast<double>(n), kd = static_cast<double>(k);
  return std::exp(log_gamma(nd + 1) - log_gamma(kd + 1) - log_gamma(nd - kd + 1) - nd * std::log(2.0));
}

double fair_binomial_cdf(int64_t k, int64_t n) {
  if (k < 0) return 0;
  if (k >= n) return 1;
  if (2 * k >= n) return 1 - fair_binomial_cdf(n - k - 1, n);
  double term = fair_binomial_pmf(k, n);
  double sum = 0;
  for (int64_t i = k; i >= 0 && term > sum * 1e-17; --i) {
    sum += term;
    term *= static_cast<double>(i) / static_cast<double>(n - i + 1);
  }
  return sum;
}

}  // namespace carat
