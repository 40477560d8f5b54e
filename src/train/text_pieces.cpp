// See the header.
#include "train/text_pieces.h"

namespace carat::train {
namespace {

// Of each text, what only the judgement of the result sees.
constexpr double kKeptBack = 1.0 / 16;
constexpr float kTokenWeight = 0.5f;  // below 1: no answers are counted

}  // namespace

Result<TextPieces> TextPieces::create(std::span<const std::vector<Token>> texts, Token bos, int64_t length) {
  TextPieces pieces;
  pieces.length_ = static_cast<size_t>(length);
  for (const std::vector<Token>& text : texts) {
    const auto kept = static_cast<size_t>(static_cast<double>(text.size()) * kKeptBack);
    if (kept < pieces.length_ + 2) continue;
    pieces.texts_.push_back({text, text.size() - kept});
    pieces.n_ += text.size();
  }
  pieces.bos_ = bos;
  if (pieces.texts_.empty())
    return fail("tuning: no text has {} tokens, enough to keep a sixteenth of it back in pieces of {}",
                16 * (length + 2), length);
  return pieces;
}

Row TextPieces::draw(Random& random, bool judged) const {
  const Text* text = &texts_.front();
  auto at = static_cast<size_t>(random.below(static_cast<int64_t>(n_)));
  while (at >= text->tokens.size()) at -= text->tokens.size(), ++text;
  const size_t first = judged ? text->n_learned : 0;
  const size_t last = (judged ? text->tokens.size() : text->n_learned) - length_ - 1;
  const size_t begin = first + static_cast<size_t>(random.below(static_cast<int64_t>(last - first + 1)));
  Row row;
  row.tokens.assign(text->tokens.begin() + static_cast<std::ptrdiff_t>(begin),
                    text->tokens.begin() + static_cast<std::ptrdiff_t>(begin + length_ + 1));
  if (text->tokens.front() == bos_) row.tokens.front() = bos_;
  row.weights.assign(length_, kTokenWeight);
  return row;
}

}  // namespace carat::train
