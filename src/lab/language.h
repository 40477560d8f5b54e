// The lab language: seeded documents whose every random choice is counted, so that the best reachable
// negative log-likelihood is known exactly, and whose answers follow from the text (or from the fixed world
// of facts).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace carat::lab {

// A piece never shares a token with its neighbours: it begins with a space, a newline or a sign, or where a
// sign stands before it, and no token of a lab vocabulary reaches across those (lab/tokenizer_training.h).
struct Piece {
  std::string text;
  bool is_answer;  // determined by what stands before it (entropy 0); its last token closes the answer
};

struct Document {
  std::string_view kind;      // category name, one of kinds()
  std::vector<Piece> pieces;  // concatenated: the document, which ends with '\n'; tokenized piece by piece.
                              // The first piece is the heading, which names the kind and nothing else
  double entropy;             // nats: minus the log-probability of this text, the kind's own included

  std::string text() const;
};

// Which document kinds are drawn, and how hard they are. The world of facts is fixed by its own seed, so that
// all models of a family learn the same facts.
struct Language {
  uint64_t world_seed = 1;
  int64_t n_entities = 7260;
  double difficulty = 1;             // 0 … 1: the curriculum, from shortest to full length
  std::vector<double> kind_weights;  // per kinds(); empty: the default mix

  // The sizes below are the language; smaller ones make it countable in tests.
  int n_words = 16;    // of each class (people, animals, …)
  int n_letters = 20;  // a, b, …
  int n_items = 0;     // problems, look-ups, rounds, … per document; 0: each kind's own number

  Document draw(Random& random) const;
  Document draw(std::string_view kind, Random& random) const;  // entropy without the choice of the kind
};

const std::vector<std::string_view>& kinds();

}  // namespace carat::lab
