// The "gemma4" tokenizer: BPE over code points with newline runs apart and byte fall-back; merges may join pieces across
// spaces. Bytes that are no UTF-8 are kept, each as its byte token: what goes in comes out, and nothing in a text can
// stop it from being encoded. (Programs that decode first put U+FFFD there, which the model then reads.)
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "gguf/metadata.h"

namespace carat {

using Token = int32_t;

enum class TokenKind : uint8_t {
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6
};

class Tokenizer {
 public:
  // Reads tokenizer.ggml.*; checks types, lengths and ids. The tokenizer copies what it needs.
  static Result<Tokenizer> load(const gguf::Metadata& metadata);

  struct EncodeOptions {
    bool add_bos = true;         // unless the text already begins with it (parse_special)
    bool parse_special = false;  // control tokens in the text are tokens, not characters
  };
  std::vector<Token> encode(std::string_view text, const EncodeOptions& options) const;

  // Text of one token: bytes for byte tokens, nothing for control tokens unless `special`.
  std::string piece(Token token, bool special = false) const;
  std::string decode(std::span<const Token> tokens, bool special = false) const;

  int64_t n_tokens() const;
  std::string_view token_text(Token token) const;  // as stored, with U+2581 for spaces
  TokenKind kind(Token token) const;
  Token bos() const { return bos_; }
  Token eos() const { return eos_; }
  Token find(std::string_view stored_text) const;  // -1: none
  bool is_end_of_generation(Token token) const;    // <eos>, <turn|>, <|tool_response>

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
  Token bos_ = -1, eos_ = -1;
};

}  // namespace carat
