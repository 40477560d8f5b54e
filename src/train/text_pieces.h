// Pieces of texts for tuning a model: those to learn from come from the beginnings of texts, those to judge
// the result by from their ends.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "train/trainer.h"

namespace carat::train {

class TextPieces {
 public:
  // Views of `texts`, each begun with `bos` where the model wants one; `length` tokens are predicted in a
  // piece. Errors: texts that are all too short to keep a sixteenth of them back.
  static Result<TextPieces> create(std::span<const std::vector<Token>> texts, Token bos, int64_t length);

  // Any place is as likely as any other. Every token counts alike.
  Row draw(Random& random, bool judged) const;

 private:
  struct Text {
    std::span<const Token> tokens;
    size_t n_learned;
  };
  std::vector<Text> texts_;
  size_t n_ = 0, length_ = 0;
  Token bos_ = -1;
};

}  // namespace carat::train
