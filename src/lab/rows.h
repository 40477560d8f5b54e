// Training rows: documents of the lab language packed without padding.
#pragma once

#include <functional>
#include <vector>

#include "base/random.h"
#include "lab/language.h"
#include "model/tokenizer.h"

namespace carat::lab {

// tokens [length + 1]; the loss of predicting tokens[i + 1] counts weights[i].
struct Row {
  std::vector<Token> tokens;
  std::vector<float> weights;
};

struct RowOptions {
  int64_t length = 128;
  float answer_weight = 1;     // of tokens that belong to an answer
  float other_weight = 0.25f;  // of the rest, most of which nobody can predict
  double curriculum_end =
      0.3;  // progress at which the language's own difficulty is reached; 0: from the start
};

// A function that fills one row: BOS, then documents, the last one cut. Its difficulty grows with `progress`
// (0 … 1). Depends on its arguments alone; keeps copies of what it is given.
std::function<Row(Random& random, double progress)> row_source(const Language& language,
                                                               const Tokenizer& tokenizer,
                                                               const RowOptions& options);

}  // namespace carat::lab
