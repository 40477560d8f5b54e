// Reads the vocabulary and turns text into tokens and back: special tokens first, then newline runs and
// everything else apart, byte pair merges inside each, bytes for what has no token. Text that is not UTF-8 is
// kept byte by byte.
#include "model/tokenizer.h"

#include <algorithm>
#include <array>

#include "gguf/layout.h"
#include "model/bpe.h"
#include "model/special_tokens.h"

namespace carat {
namespace {

constexpr std::string_view kSpace = "\u2581";  // stands for a space in the vocabulary

// What the model ends its turn with. They are control tokens whatever a file says: a user's text must not
// contain them by accident, and files have been seen that type them otherwise.
constexpr std::string_view kEndTokens[] = {"<eos>", "<turn|>", "<|tool_response>"};

// "<0x1F>" -> 31; -1: not of this form.
int byte_of(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
  int value = 0;
  for (const char c : text.substr(3, 2)) {
    const bool decimal = c >= '0' && c <= '9', hexadecimal = c >= 'A' && c <= 'F';
    if (!decimal && !hexadecimal) return -1;
    value = value * 16 + (decimal ? c - '0' : c - 'A' + 10);
  }
  return value;
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t found = std::min(text.find(from, at), text.size());
    out += text.substr(at, found - at);
    if (found < text.size()) out += to;
    at = found + from.size();
  }
  return out;
}

}  // namespace

struct Tokenizer::Impl {
  BytePairEncoder bpe;  // its symbols are the tokens
  std::vector<TokenKind> kinds;
  std::vector<Token> end_of_generation;
  std::array<Token, 256> byte_tokens;
  Token unknown = -1;
  SpecialTokens specials;  // views into bpe's symbols

  Result<void> load_tokens(const gguf::Metadata& metadata);
  Result<void> load_kinds(const gguf::Metadata& metadata);
  Result<void> load_merges(const gguf::Metadata& metadata);
  Result<void> load_bytes(const gguf::Metadata& metadata, Token bos);
  Result<void> index_specials();

  Token find(std::string_view text) const;
  bool is_hidden(Token token) const;
  bool is_end(Token token) const;
  void encode_fragment(std::string_view fragment, std::vector<Token>& tokens) const;
  void encode_bytes(std::string_view bytes, std::vector<Token>& tokens) const;
};

Result<void> Tokenizer::Impl::load_tokens(const gguf::Metadata& metadata) {
  const std::string_view model = TRY(metadata.text("tokenizer.ggml.model"));
  if (model != "gemma4")
    return fail("key 'tokenizer.ggml.model': '{}', expected 'gemma4'", gguf::printable(model));
  const auto texts = TRY(metadata.texts("tokenizer.ggml.tokens"));
  if (texts.empty() || texts.size() > INT32_MAX)
    return fail("key 'tokenizer.ggml.tokens': {} tokens, expected 1..{}", texts.size(), INT32_MAX);
  SymbolTable& symbols = bpe.symbols();
  symbols.reserve(texts.size());
  std::array<uint32_t, SymbolTable::kBatch> ids;
  for (size_t begin = 0; begin < texts.size(); begin += ids.size()) {
    const auto batch = std::span(texts).subspan(begin, std::min(ids.size(), texts.size() - begin));
    const bool has_empty =
        std::any_of(batch.begin(), batch.end(), [](std::string_view text) { return text.empty(); });
    if (!has_empty) symbols.intern(batch, std::span(ids).first(batch.size()));
    for (size_t i = 0; i < batch.size(); ++i) {
      // Several tokens may be empty: they are numbers that nothing is spelled with.
      if (has_empty) ids[i] = batch[i].empty() ? symbols.add_hidden(batch[i]) : symbols.intern(batch[i]);
      if (ids[i] != begin + i)
        return fail("key 'tokenizer.ggml.tokens': token {} repeats token {}", begin + i, ids[i]);
    }
  }
  return {};
}

Result<void> Tokenizer::Impl::load_kinds(const gguf::Metadata& metadata) {
  constexpr std::string_view key = "tokenizer.ggml.token_type";
  const gguf::Value* value = metadata.find(key);
  const gguf::Array* array = value == nullptr ? nullptr : std::get_if<gguf::Array>(value);
  const size_t n_types = array == nullptr ? 1 : gguf::size_of(*array);
  if (value != nullptr && n_types != bpe.symbols().size())
    return fail("key '{}': {} entries, expected one for each of {} tokens", key, n_types,
                bpe.symbols().size());
  const std::vector<int64_t> types = TRY(metadata.integers(key, 1));
  CHECK(types.size() == bpe.symbols().size());
  for (size_t i = 0; i < types.size(); ++i) {
    if (types[i] < 1 || types[i] > 6)
      return fail("key 'tokenizer.ggml.token_type': {} (token {}) is outside 1..6", types[i], i);
    kinds.push_back(static_cast<TokenKind>(types[i]));
    if (kinds[i] == TokenKind::byte && byte_of(bpe.symbols().text(static_cast<uint32_t>(i))) < 0)
      return fail("key 'tokenizer.ggml.token_type': token {} is a byte, expected a text like <0x1F>", i);
  }
  for (const std::string_view text : kEndTokens) {
    const Token token = find(text);
    if (token < 0) continue;
    kinds[static_cast<size_t>(token)] = TokenKind::control;
    end_of_generation.push_back(token);
  }
  return {};
}

Result<void> Tokenizer::Impl::load_merges(const gguf::Metadata& metadata) {
  constexpr std::string_view key = "tokenizer.ggml.merges";
  const auto texts = TRY(metadata.texts(key));
  if (texts.size() >= MergeTable::kNone)
    return fail("key '{}': {} merges, expected fewer than {}", key, texts.size(), MergeTable::kNone);
  if (const auto set = bpe.set_merges(texts); !set) return fail("key '{}': {}", key, set.error().message);
  return {};
}

// After the kinds are settled: a control token never stands for a byte.
Result<void> Tokenizer::Impl::load_bytes(const gguf::Metadata& metadata, Token bos) {
  const int64_t n_tokens = static_cast<int64_t>(kinds.size());
  unknown = static_cast<Token>(
      TRY(metadata.integer_or("tokenizer.ggml.unknown_token_id", 0, n_tokens - 1, find("<unk>"))));
  for (int byte = 0; byte < 256; ++byte) {
    const Token token = find(fmt::format("<0x{:02X}>", byte));
    const bool known = token >= 0 && !is_hidden(token);
    byte_tokens[static_cast<size_t>(byte)] = known ? token : unknown;
    if (known) continue;
    if (unknown < 0)
      return fail("key 'tokenizer.ggml.tokens': neither <0x{:02X}> nor <unk>, expected one of them", byte);
    const TokenKind kind = kinds[static_cast<size_t>(unknown)];
    if (kind == TokenKind::control || kind == TokenKind::user_defined || unknown == bos || is_end(unknown))
      return fail("key 'tokenizer.ggml.unknown_token_id': {} is a special token, it cannot stand for <0x{:02X}>", unknown,
                  byte);
  }
  return {};
}

Result<void> Tokenizer::Impl::index_specials() {
  std::vector<SpecialTokens::Entry> entries;
  for (size_t i = 0; i < kinds.size(); ++i) {
    const std::string_view text = bpe.symbols().text(static_cast<uint32_t>(i));
    if (text.empty() || (kinds[i] != TokenKind::user_defined && !is_hidden(static_cast<Token>(i)))) continue;
    if (text.size() > SpecialTokens::kMaxLength)
      return fail("key 'tokenizer.ggml.tokens': special token {} has {} bytes, expected at most {}", i,
                  text.size(), SpecialTokens::kMaxLength);
    entries.push_back({text, static_cast<Token>(i), kinds[i] == TokenKind::user_defined});
  }
  specials = SpecialTokens(std::move(entries));
  return {};
}

Token Tokenizer::Impl::find(std::string_view text) const {
  const uint32_t id = bpe.symbols().find(text);
  return id == SymbolTable::kNone ? -1 : static_cast<Token>(id);
}

// Tokens that are never made of plain text, only of special tokens where the caller parses them.
bool Tokenizer::Impl::is_hidden(Token token) const {
  const TokenKind kind = kinds[static_cast<size_t>(token)];
  return kind == TokenKind::control || kind == TokenKind::unknown;
}

bool Tokenizer::Impl::is_end(Token token) const {
  return std::find(end_of_generation.begin(), end_of_generation.end(), token) != end_of_generation.end();
}

// Text without special tokens. A hostile vocabulary may still lead merges, or a run of newlines, to a control
// token: the text then stands as bytes. No published vocabulary does.
void Tokenizer::Impl::encode_fragment(std::string_view fragment, std::vector<Token>& tokens) const {
  std::vector<BpePiece> pieces;
  for (size_t begin = 0; begin < fragment.size();) {
    const bool newlines = fragment[begin] == '\n';
    const size_t end = newlines ? fragment.find_first_not_of('\n', begin) : fragment.find('\n', begin);
    const std::string_view run = fragment.substr(begin, end - begin);
    begin += run.size();
    const Token whole = newlines ? find(run) : -1;
    if (whole >= 0 && !is_hidden(whole)) {
      tokens.push_back(whole);
      continue;
    }
    pieces.clear();
    bpe.encode(run, pieces);
    for (const BpePiece& piece : pieces) {
      if (piece.id < kinds.size() && !is_hidden(static_cast<Token>(piece.id)))
        tokens.push_back(static_cast<Token>(piece.id));
      else
        encode_bytes(replaced(run.substr(piece.begin, piece.length), " ", kSpace), tokens);
    }
  }
}

void Tokenizer::Impl::encode_bytes(std::string_view bytes, std::vector<Token>& tokens) const {
  for (const char byte : bytes) tokens.push_back(byte_tokens[static_cast<unsigned char>(byte)]);
}

Result<Tokenizer> Tokenizer::load(const gguf::Metadata& metadata) {
  auto impl = std::make_shared<Impl>();
  TRY(impl->load_tokens(metadata));
  TRY(impl->load_kinds(metadata));
  TRY(impl->load_merges(metadata));

  Tokenizer tokenizer;
  const int64_t last = static_cast<int64_t>(impl->kinds.size()) - 1;
  const auto special = [&](std::string_view key, std::string_view text) -> Result<Token> {
    const int64_t id = TRY(metadata.integer_or(key, 0, last, impl->find(text)));
    if (id < 0) return fail("key '{}' is missing, and no token is '{}'", key, text);
    impl->kinds[static_cast<size_t>(id)] = TokenKind::control;
    return static_cast<Token>(id);
  };
  tokenizer.bos_ = TRY(special("tokenizer.ggml.bos_token_id", "<bos>"));
  tokenizer.eos_ = TRY(special("tokenizer.ggml.eos_token_id", "<eos>"));
  impl->end_of_generation.push_back(tokenizer.eos_);
  // An ordinary piece of HTML that some converters take for an end token.
  const Token strike = impl->find("</s>");
  if (strike >= 0 && strike != tokenizer.eos_) impl->kinds[static_cast<size_t>(strike)] = TokenKind::normal;
  TRY(impl->load_bytes(metadata, tokenizer.bos_));
  TRY(impl->index_specials());
  tokenizer.impl_ = std::move(impl);
  return tokenizer;
}

std::vector<Token> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  std::vector<Token> tokens;
  size_t begin = 0;
  for (const SpecialTokens::Match& match : impl_->specials.find(text, options.parse_special)) {
    impl_->encode_fragment(text.substr(begin, match.begin - begin), tokens);
    tokens.push_back(match.token);
    begin = match.begin + match.length;
  }
  impl_->encode_fragment(text.substr(begin), tokens);
  if (options.add_bos && (tokens.empty() || tokens[0] != bos_)) tokens.insert(tokens.begin(), bos_);
  return tokens;
}

std::string Tokenizer::piece(Token token, bool special) const {
  if (token < 0 || token >= n_tokens()) return {};
  const std::string_view text = token_text(token);
  switch (kind(token)) {
    case TokenKind::normal:
      return replaced(text, kSpace, " ");
    case TokenKind::byte:
      return std::string(1, static_cast<char>(byte_of(text)));
    case TokenKind::user_defined:
      return std::string(text);
    case TokenKind::control:
    case TokenKind::unknown:
      return special ? std::string(text) : std::string();
    case TokenKind::unused:
      return {};
  }
  CHECK(false && "load_kinds() admits no other kind");
  return {};
}

std::string Tokenizer::decode(std::span<const Token> tokens, bool special) const {
  std::string text;
  for (const Token token : tokens) text += piece(token, special);
  return text;
}

int64_t Tokenizer::n_tokens() const { return static_cast<int64_t>(impl_->kinds.size()); }
std::string_view Tokenizer::token_text(Token token) const {
  return impl_->bpe.symbols().text(static_cast<uint32_t>(token));
}
TokenKind Tokenizer::kind(Token token) const {
  CHECK(token >= 0 && token < n_tokens());
  return impl_->kinds[static_cast<size_t>(token)];
}
Token Tokenizer::find(std::string_view stored_text) const { return impl_->find(stored_text); }

bool Tokenizer::is_end_of_generation(Token token) const { return impl_->is_end(token); }

}  // namespace carat
