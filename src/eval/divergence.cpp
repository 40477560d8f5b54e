// Plain loops over one row of logits.
#include "eval/divergence.h"

#include <cmath>

#include "base/check.h"

namespace carat {

RowSummary summarize(std::span<const float> logits) {
  CHECK(!logits.empty());
  RowSummary summary;
  float largest = logits[0];
  for (size_t v = 1; v < logits.size(); ++v) {
    if (logits[v] > largest) {
      largest = logits[v];
      summary.top = static_cast<Token>(v);
    }
  }
  double sum = 0;
  const double shift = largest;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - shift);
  summary.log_sum = shift + std::log(sum);
  return summary;
}

void probabilities(std::span<const float> logits, const RowSummary& summary, std::span<float> probability) {
  CHECK(probability.size() == logits.size());
  for (size_t v = 0; v < logits.size(); ++v)
    probability[v] = static_cast<float>(std::exp(static_cast<double>(logits[v]) - summary.log_sum));
}

double kl_divergence(std::span<const float> reference_probability, std::span<const float> reference_logits,
                     const RowSummary& reference, std::span<const float> logits, const RowSummary& summary) {
  CHECK(reference_logits.size() == logits.size() && reference_probability.size() == logits.size());
  // Each term multiplies p with a difference of log-probabilities, so the rounding of p to f32 is relative to
  // a term that is itself small, and a row against itself gives exactly 0.
  double sum = 0;
  for (size_t v = 0; v < logits.size(); ++v) {
    const double p = reference_probability[v];
    if (p == 0) continue;
    const double from = static_cast<double>(reference_logits[v]) - reference.log_sum;
    const double to = static_cast<double>(logits[v]) - summary.log_sum;
    sum += p * (from - to);
  }
  return sum;
}

}  // namespace carat
