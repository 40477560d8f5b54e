// Shapes and sums of scores.
#include "eval/scores.h"

#include "base/check.h"

namespace carat {
namespace {

template <class T>
void extend(std::vector<T>& values, const std::vector<T>& more) {
  values.insert(values.end(), more.begin(), more.end());
}

// Both begin with 0; the second's goes on where the first ends.
void extend_borders(std::vector<int64_t>& borders, const std::vector<int64_t>& more) {
  const int64_t end = borders.back();
  for (size_t i = 1; i < more.size(); ++i) borders.push_back(end + more[i]);
}

}  // namespace

std::vector<double> LockstepScores::n_right(int model) const {
  const std::vector<uint8_t>& correct = models[static_cast<size_t>(model)].correct;
  std::vector<double> right(n_tokens.size(), 0.0);
  for (size_t i = 0; i < right.size(); ++i)
    for (int64_t a = first_answer[i]; a < first_answer[i + 1]; ++a)
      right[i] += is_exact[static_cast<size_t>(a)] & correct[static_cast<size_t>(a)];
  return right;
}

void LockstepScores::append(const LockstepScores& more) {
  CHECK(models.size() == more.models.size() && pairs.size() == more.pairs.size());
  extend_borders(first_answer, more.first_answer);
  extend_borders(first_token, more.first_token);
  extend(is_exact, more.is_exact);
  extend(n_tokens, more.n_tokens);
  extend(n_answer_tokens, more.n_answer_tokens);
  extend(n_answers, more.n_answers);
  for (size_t m = 0; m < models.size(); ++m) {
    extend(models[m].nll, more.models[m].nll);
    extend(models[m].answer_nll, more.models[m].answer_nll);
    extend(models[m].correct, more.models[m].correct);
    extend(models[m].token_nll, more.models[m].token_nll);
  }
  for (size_t p = 0; p < pairs.size(); ++p) {
    extend(pairs[p].kld, more.pairs[p].kld);
    extend(pairs[p].answer_kld, more.pairs[p].answer_kld);
    extend(pairs[p].squared_delta_p, more.pairs[p].squared_delta_p);
    extend(pairs[p].same_top, more.pairs[p].same_top);
    extend(pairs[p].answer_same_top, more.pairs[p].answer_same_top);
    extend(pairs[p].token_kld, more.pairs[p].token_kld);
  }
}

LockstepScores empty_scores(const Suite& suite, size_t n_models, size_t n_pairs) {
  LockstepScores scores;
  scores.first_answer = {0};
  scores.first_token = {0};
  for (const SuiteItem& item : suite.items) {
    int64_t n_answer_tokens = 0, n_exact = 0;
    for (const AnswerSpan& span : item.answers) {
      n_answer_tokens += span.end - span.begin;
      n_exact += span.is_exact;
      scores.is_exact.push_back(span.is_exact);
    }
    scores.n_tokens.push_back(static_cast<double>(item.n_scored()));
    scores.n_answer_tokens.push_back(static_cast<double>(n_answer_tokens));
    scores.n_answers.push_back(static_cast<double>(n_exact));
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
