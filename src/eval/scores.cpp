// Shapes and sums of scores.
#include "eval/scores.h"

namespace carat {

std::vector<double> LockstepScores::n_right(int model) const {
  const std::vector<uint8_t>& correct = models[static_cast<size_t>(model)].correct;
  std::vector<double> right(n_tokens.size(), 0.0);
  for (size_t i = 0; i < right.size(); ++i)
    for (int64_t a = first_answer[i]; a < first_answer[i + 1]; ++a)
      right[i] += correct[static_cast<size_t>(a)];
  return right;
}

LockstepScores empty_scores(const Suite& suite, size_t n_models, size_t n_pairs) {
  LockstepScores scores;
  scores.first_answer = {0};
  scores.first_token = {0};
  for (const SuiteItem& item : suite.items) {
    int64_t n_answer_tokens = 0;
    for (const AnswerSpan& span : item.answers) n_answer_tokens += span.end - span.begin;
    scores.n_tokens.push_back(static_cast<double>(item.n_scored()));
    scores.n_answer_tokens.push_back(static_cast<double>(n_answer_tokens));
    scores.n_answers.push_back(static_cast<double>(item.answers.size()));
    scores.first_answer.push_back(scores.first_answer.back() + static_cast<int64_t>(item.answers.size()));
    scores.first_token.push_back(scores.first_token.back() + item.n_scored());
  }
  const std::vector<double> zeros(suite.items.size(), 0.0);
  const std::vector<uint8_t> all_right(static_cast<size_t>(scores.first_answer.back()), 1);
  const std::vector<float> tokens(static_cast<size_t>(scores.first_token.back()), 0.0f);
  scores.models.assign(n_models, {zeros, zeros, all_right, tokens});
  scores.pairs.assign(n_pairs, {zeros, zeros, zeros, zeros, zeros, tokens});
  return scores;
}

}  // namespace carat
