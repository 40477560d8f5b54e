// Scores: what a lockstep run leaves behind: per item, per answer and per token, never a logit.
#pragma once

#include <cstdint>
#include <vector>

#include "eval/suite.h"

namespace carat {

// Asks for the divergence of models[model] from models[reference]; both are indices.
struct ReferencePair {
  int model, reference;
};

// Per item, sums over its scored tokens.
struct ModelScores {
  std::vector<double> nll;         // [n_items] nats
  std::vector<double> answer_nll;  // [n_items] of the tokens inside answer spans
  std::vector<uint8_t> correct;    // [n_answers] every token of the span is the argmax
  std::vector<float> token_nll;    // [n_scored]
};

struct PairScores {
  std::vector<double> kld, answer_kld;            // [n_items] nats
  std::vector<double> squared_delta_p;            // [n_items] (p(token) - p_reference(token))^2
  std::vector<double> same_top, answer_same_top;  // [n_items] counts
  std::vector<float> token_kld;                   // [n_scored], for percentiles
};

struct LockstepScores {
  std::vector<int64_t> first_answer,
      first_token;  // [n_items + 1] where an item's answers and scored tokens begin
  std::vector<uint8_t> is_exact;  // [n_answers] whether an answer counts as right or wrong (AnswerSpan)
  std::vector<double> n_tokens, n_answer_tokens, n_answers;  // [n_items]; of the answers the exact ones
  std::vector<ModelScores> models;
  std::vector<PairScores> pairs;

  int64_t n_items() const { return static_cast<int64_t>(n_tokens.size()); }
  // Right answers per item, of the exact ones. [n_items]
  std::vector<double> n_right(int model) const;
  // Puts the scores of further items of the same models and pairs behind these.
  void append(const LockstepScores& more);
};

// Zeros (and answers that are right until a token is wrong) in the shape of a suite.
LockstepScores empty_scores(const Suite& suite, size_t n_models, size_t n_pairs);

}  // namespace carat
