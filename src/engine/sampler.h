// Sampler: chooses a token from logits. The same seed and logits give the same tokens with the same mathematical
// library; between libraries exp() may differ in its last bit, and then, rarely, a draw.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "kernels/backend.h"
#include "model/tokenizer.h"

namespace carat {

// Applied in this order: suppression, temperature, top-k, top-p. The defaults are what the model's makers
// recommend.
struct SamplerOptions {
  double temperature = 1;  // 0: greedy, the likeliest token (ties: the lowest id)
  int64_t top_k = 64;      // only the k likeliest; 0: all
  double top_p = 0.95;     // of those only the likeliest that together reach this probability
  uint64_t seed = 1;
  std::vector<Token> suppressed;  // never chosen
};

class Sampler {
 public:
  // Errors: options out of range.
  static Result<Sampler> create(const SamplerOptions& options);

  // How many of the likeliest tokens a choice needs; 0: all logits.
  int64_t n_best() const { return options_.temperature == 0 ? 1 : options_.top_k; }
  std::span<const Token> suppressed() const { return options_.suppressed; }

  // The same choice from the n_best() likeliest tokens that are not suppressed, best first (Forward::best).
  Result<Token> sample_best(std::span<const ScoredRow> best);

  // logits [n_vocab], -inf for impossible tokens. Errors: no token is possible (all -inf or NaN: a broken
  // file).
  Result<Token> sample(std::span<const float> logits);

 private:
  struct Candidate {
    float logit;
    Token token;
  };
  explicit Sampler(const SamplerOptions& options) : options_(options), random_(options.seed) {}

  void collect(std::span<const float> logits, size_t n_best);
  Result<Token> choose();
  Token draw();

  SamplerOptions options_;
  Random random_;
  std::vector<Candidate> candidates_;  // best first
  std::vector<double> weights_;
};

}  // namespace carat
