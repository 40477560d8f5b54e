// Divergence: what one row of logits says about the next token, and how far two rows are apart. Everything is
// over the full vocabulary and summed in double, so that Q8_0's 1e-4 nat is a measurement and not rounding.
#pragma once

#include <cstdint>
#include <span>

#include "model/tokenizer.h"

namespace carat {

struct RowSummary {
  double log_sum = 0;  // log(sum(exp(logit))): log-probability = logit - log_sum
  Token top = 0;       // the first of the largest logits
};

RowSummary summarize(std::span<const float> logits);

inline double log_probability(std::span<const float> logits, const RowSummary& summary, Token token) {
  return static_cast<double>(logits[static_cast<size_t>(token)]) - summary.log_sum;
}

// probability[v] = exp(logits[v] - log_sum): made once for a reference row, used by every model judged
// against it.
void probabilities(std::span<const float> logits, const RowSummary& summary, std::span<float> probability);

// KL(reference || model) in nats. Tokens that the reference never produces count nothing; infinite if the
// model forbids a token that the reference may produce.
double kl_divergence(std::span<const float> reference_probability, std::span<const float> reference_logits,
                     const RowSummary& reference, std::span<const float> logits, const RowSummary& summary);

}  // namespace carat
