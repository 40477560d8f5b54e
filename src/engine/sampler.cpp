// Keeps the best candidates in a heap of k while it walks the logits once; draws with sums in double.
#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace carat {

Result<Sampler> Sampler::create(const SamplerOptions& options) {
  if (!(options.temperature >= 0 && options.temperature <= 1e6))
    return fail("temperature {}, expected 0 or more", options.temperature);
  if (options.top_k < 0) return fail("top-k {}, expected 0 or more", options.top_k);
  if (!(options.top_p > 0 && options.top_p <= 1))
    return fail("top-p {}, expected more than 0, at most 1", options.top_p);
  return Sampler(options);
}

Result<Token> Sampler::sample(std::span<const float> logits) {
  const bool greedy = options_.temperature == 0;
  const size_t all = logits.size(), k = static_cast<size_t>(options_.top_k);
  collect(logits, greedy ? 1 : k == 0 ? all : std::min(k, all));
  return choose();
}

Result<Token> Sampler::sample_best(std::span<const ScoredRow> best) {
  CHECK(n_best() > 0 && static_cast<int64_t>(best.size()) <= n_best());
  candidates_.clear();
  for (const ScoredRow& token : best) candidates_.push_back({token.score, token.row});
  return choose();
}

Result<Token> Sampler::choose() {
  if (candidates_.empty()) return fail("no token is possible: the model's logits are not numbers");
  return options_.temperature == 0 ? candidates_[0].token : draw();
}

// The n_best likeliest tokens, best first.
void Sampler::collect(std::span<const float> logits, size_t n_best) {
  const auto better = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  };
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    const Candidate candidate{logits[i], static_cast<Token>(i)};
    const bool full = candidates_.size() == n_best;
    // False for NaN and -inf. Ids rise, so an equal logit never displaces one that is in.
    if (!(candidate.logit > (full ? candidates_.front().logit : -std::numeric_limits<float>::infinity())))
      continue;
    if (std::find(options_.suppressed.begin(), options_.suppressed.end(), candidate.token) !=
        options_.suppressed.end())
      continue;
    if (full) {
      std::pop_heap(candidates_.begin(), candidates_.end(), better);  // the worst goes to the end
      candidates_.back() = candidate;
    } else {
      candidates_.push_back(candidate);
    }
    std::push_heap(candidates_.begin(), candidates_.end(), better);
  }
  std::sort_heap(candidates_.begin(), candidates_.end(), better);
}

Token Sampler::draw() {
  weights_.clear();
  double total = 0;
  for (const Candidate& candidate : candidates_) {
    const double distance = static_cast<double>(candidate.logit) - static_cast<double>(candidates_[0].logit);
    weights_.push_back(std::exp(distance / options_.temperature));
    total += weights_.back();
  }
  size_t n_kept = 0;
  double kept = 0;
  while (n_kept < weights_.size() && (n_kept == 0 || kept < options_.top_p * total))
    kept += weights_[n_kept++];
  double mark = random_.uniform() * kept;
  for (size_t i = 0; i + 1 < n_kept; ++i)
    if ((mark -= weights_[i]) < 0) return candidates_[i].token;
  return candidates_[n_kept - 1].token;
}

}  // namespace carat
