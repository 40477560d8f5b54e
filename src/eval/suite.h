// Suite: the texts and questions on which models are judged, tokenized once. Categories name the kinds of
// item; a whole item is the unit that statistics resample (the cluster).
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "model/tokenizer.h"

namespace carat {

// Token positions [begin, end) of an item whose tokens are determined by what stands before: the answer and
// the token that closes it. Correct when every one of them is the model's argmax (teacher-forced exact match,
// which equals greedy decoding). Where there are many good answers (prose), only the likelihood of this one is
// judged: it counts among the answers' tokens and not among the answers.
struct AnswerSpan {
  int begin, end;
  bool is_exact = true;
};

struct SuiteItem {
  std::string category;
  std::vector<Token> tokens;        // BOS first
  std::vector<AnswerSpan> answers;  // in order, not overlapping
  int first_scored = 1;             // NLL and divergence count predictions of tokens[first_scored …]
  // Entropy of the scored text in nats where a generator knows it: the best reachable NLL. NaN: unknown.
  double entropy = std::numeric_limits<double>::quiet_NaN();

  // Tokens whose prediction is scored.
  int64_t n_scored() const { return static_cast<int64_t>(tokens.size()) - first_scored; }
};

struct Suite {
  std::string name;
  std::vector<SuiteItem> items;

  int64_t n_answers() const;  // the exact ones
  int64_t n_scored_tokens() const;
  uint64_t hash() const;  // of categories, tokens and spans; printed beside every result
};

}  // namespace carat
