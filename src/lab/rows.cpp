// Packing of documents into rows.
#include "lab/rows.h"

#include <algorithm>

namespace carat::lab {
namespace {

Row fill_row(const Language& language, const Tokenizer& tokenizer, const RowOptions& options,
             Random& random) {
  const size_t n_tokens = static_cast<size_t>(options.length) + 1;
  Row row;
  row.tokens.push_back(tokenizer.bos());
  while (row.tokens.size() < n_tokens) {
    for (const Piece& piece : language.draw(random).pieces) {
      const std::vector<Token> tokens = tokenizer.encode(piece.text, {.add_bos = false});
      row.tokens.insert(row.tokens.end(), tokens.begin(), tokens.end());
      row.weights.insert(row.weights.end(), tokens.size(),
                         piece.is_answer ? options.answer_weight : options.other_weight);
    }
  }
  row.tokens.resize(n_tokens);
  row.weights.resize(n_tokens - 1);
  return row;
}

}  // namespace

std::function<Row(Random&, double)> row_source(const Language& language, const Tokenizer& tokenizer,
                                               const RowOptions& options) {
  CHECK(options.length >= 1);
  return [language, tokenizer, options](Random& random, double progress) {
    Language now = language;
    if (options.curriculum_end > 0) now.difficulty *= std::clamp(progress / options.curriculum_end, 0.0, 1.0);
    return fill_row(now, tokenizer, options, random);
  };
}

}  // namespace carat::lab
