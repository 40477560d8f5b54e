// Any bytes as a small vocabulary with merges, and a text: the encoder must agree with byte pair encoding as
// it is defined, pair by pair, and give the text back; no control token may come out of it.
#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/tokenizer.h"
#include "model/vocabulary.h"

namespace {

using namespace carat;

// What is read off the input: bytes while there are any, then zeros.
class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  size_t below(size_t n) { return (at_ < size_ ? data_[at_++] : 0) % n; }
  std::string rest() {
    const std::string text(reinterpret_cast<const char*>(data_) + at_, size_ - at_);
    at_ = size_;
    return text;
  }

 private:
  const uint8_t* data_;
  size_t size_, at_ = 0;
};

// Pieces over a few letters; some are tokens, some only lead on to others.
Vocabulary make_vocabulary(Bytes& bytes) {
  Vocabulary v = special_vocabulary();
  for (int byte = 0; byte < 256; ++byte) v.add(fmt::format("<0x{:02X}>", byte), TokenKind::byte);
  std::vector<std::string> pieces = {"a", "b", "\u2581", "\u00e9", "<", "|", ">", "\n"};
  for (const std::string& piece : pieces) v.add(piece, TokenKind::normal);
  for (size_t n = bytes.below(40); n > 0; --n) {
    const std::string left = pieces[bytes.below(pieces.size())], right = pieces[bytes.below(pieces.size())];
    const std::string whole = left + right;
    if (whole.size() > 64) continue;
    v.merges.push_back(left + " " + right);
    const bool known = std::find(v.tokens.begin(), v.tokens.end(), whole) != v.tokens.end();
    if (!known && bytes.below(4) != 0) v.add(whole, TokenKind::normal);
    pieces.push_back(whole);
  }
  return v;
}

// U+2581 in a text comes back as a space.
std::string with_spaces(std::string_view text) {
  constexpr std::string_view kSpace = "\u2581";
  std::string out;
  for (size_t at; (at = text.find(kSpace)) != std::string_view::npos; text.remove_prefix(at + kSpace.size()))
    (out += text.substr(0, at)) += ' ';
  return out += text;
}

size_t code_point_bytes(std::string_view text) {
  const auto is_tail = [&](size_t i) {
    return i < text.size() && (static_cast<uint8_t>(text[i]) & 0xc0) == 0x80;
  };
  const auto first = static_cast<uint8_t>(text[0]);
  const size_t n = first >= 0xf8 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
  for (size_t i = 1; i < n; ++i)
    if (!is_tail(i)) return 1;
  return n;
}

// Looks at every pair, again and again.
std::vector<Token> encode_plainly(const Tokenizer& tokenizer, const std::map<std::string, size_t>& ranks,
                                  std::string_view run) {
  std::vector<std::string> pieces;
  for (size_t i = 0; i < run.size();) {
    const size_t n = code_point_bytes(run.substr(i));
    pieces.push_back(run[i] == ' ' ? "\u2581" : std::string(run.substr(i, n)));
    i += n;
  }
  while (true) {
    size_t best = SIZE_MAX, at = 0;
    for (size_t i = 0; i + 1 < pieces.size(); ++i) {
      const auto found = ranks.find(pieces[i] + " " + pieces[i + 1]);
      if (found != ranks.end() && found->second < best) best = found->second, at = i;
    }
    if (best == SIZE_MAX) break;
    pieces[at] += pieces[at + 1];
    pieces.erase(pieces.begin() + static_cast<ptrdiff_t>(at) + 1);
  }
  std::vector<Token> tokens;
  for (const std::string& piece : pieces) {
    const Token token = tokenizer.find(piece);
    if (token >= 0 && tokenizer.kind(token) == TokenKind::normal)
      tokens.push_back(token);
    else
      for (const char c : piece)
        tokens.push_back(tokenizer.find(fmt::format("<0x{:02X}>", static_cast<uint8_t>(c))));
  }
  return tokens;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Bytes bytes(data, std::min<size_t>(size, 1000));
  const Vocabulary vocabulary = make_vocabulary(bytes);
  gguf::Metadata metadata;
  describe(vocabulary, metadata);
  const Tokenizer tokenizer = Tokenizer::load(metadata).take();
  std::string text = bytes.rest();

  for (const bool special : {false, true}) {
    const auto tokens = tokenizer.encode(text, {.add_bos = false, .parse_special = special});
    for (const Token token : tokens) CHECK(token >= 0 && token < tokenizer.n_tokens());
    if (!special)
      for (const Token token : tokens) CHECK(tokenizer.kind(token) != TokenKind::control);
    CHECK(with_spaces(tokenizer.decode(tokens, true)) == with_spaces(text));
  }

  std::erase(text, '\n');
  std::erase(text, '|');  // no user-defined token without it
  std::map<std::string, size_t> ranks;
  for (size_t i = 0; i < vocabulary.merges.size(); ++i) ranks.emplace(vocabulary.merges[i], i);
  CHECK(tokenizer.encode(text, {.add_bos = false}) == encode_plainly(tokenizer, ranks, text));
  return 0;
}
