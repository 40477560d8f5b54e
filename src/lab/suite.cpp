// Drawing and tokenizing of the test set.
#include "lab/suite.h"

namespace carat::lab {
namespace {

// Trainers derive their streams from small seeds too: this keeps the two families of streams apart.
constexpr uint64_t kTestStream = 0x7465737420736574;

Item make_item(const Document& document, const Tokenizer& tokenizer) {
  Item item{std::string(document.kind), {tokenizer.bos()}, {}, 0, document.entropy};
  for (const Piece& piece : document.pieces) {
    const std::vector<Token> tokens = tokenizer.encode(piece.text, {.add_bos = false});
    const int begin = static_cast<int>(item.tokens.size());
    item.tokens.insert(item.tokens.end(), tokens.begin(), tokens.end());
    const int end = static_cast<int>(item.tokens.size());
    if (item.first_scored == 0) item.first_scored = end;  // the heading
    if (piece.is_answer) item.answers.push_back({begin, end});
  }
  return item;
}

}  // namespace

std::vector<Item> test_items(const Language& language, const Tokenizer& tokenizer, uint64_t seed,
                             int n_per_kind) {
  std::vector<Item> items;
  for (size_t kind = 0; kind < kinds().size(); ++kind) {
    Random random(mix64(mix64(seed ^ kTestStream) + kind));
    for (int i = 0; i < n_per_kind; ++i)
      items.push_back(make_item(language.draw(kinds()[kind], random), tokenizer));
  }
  return items;
}

}  // namespace carat::lab
