// The lab language: seeded documents whose every random choice is counted, so that the best reachable negative
// log-likelihood is known exactly, and whose answers follow from the text (or from the fixed world of facts).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace carat::lab {

struct Piece {
  std::string text;
  bool is_answer;  // determined by what stands before it (entropy 0)
};

struct Document {
  std::string_view kind;       // category name, one of kinds()
  std::vector<Piece> pieces;   // concatenated: the document, which ends with '\n'; tokenized piece by piece
  double entropy;              // nats: the sum of ln(options) over all choices, the kind's own included
};

// Which document kinds are drawn, and how hard they are. The world of facts is fixed by its own seed, so that all
// models of a family learn the same facts.
struct Language {
  uint64_t world_seed = 1;
  int n_entities = 1200;
  double difficulty = 1;  // 0 … 1: the curriculum, from shortest to full length
  std::vector<double> kind_weights;  // per kinds(); empty: the default mix

  Document draw(Random& random) const;
  Document draw(std::string_view kind, Random& random) const;  // entropy without the choice of the kind
};

const std::vector<std::string_view>& kinds();

}  // namespace carat::lab
