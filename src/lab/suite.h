// The lab's test set: documents of each kind with the places of their answers and their exact entropy.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lab/language.h"
#include "model/tokenizer.h"

namespace carat::lab {

struct AnswerSpan {
  int begin, end;  // token positions [begin, end): the answer and the token that closes it
};

struct Item {
  std::string category;             // the document's kind
  std::vector<Token> tokens;        // BOS, then the document
  std::vector<AnswerSpan> answers;  // in order
  int first_scored;                 // the first token after the heading
  double entropy;  // nats of tokens[first_scored …]: the best reachable negative log-likelihood
};

// `n_per_kind` documents of every kind, kind by kind, at the language's difficulty. The heading is neither
// scored nor charged: kinds are drawn equally often here, which no model can know. The world of facts is the
// language's: what was taught is asked. Everything else is drawn from streams of its own; that a short
// document also occurs in the training data is possible and part of the language.
std::vector<Item> test_items(const Language& language, const Tokenizer& tokenizer, uint64_t seed,
                             int n_per_kind);

}  // namespace carat::lab
