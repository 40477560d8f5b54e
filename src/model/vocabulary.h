// Vocabulary: what a "gemma4" tokenizer is made of, for files that Carat writes itself: trained and synthetic
// models.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/metadata.h"
#include "model/tokenizer.h"

namespace carat {

struct Vocabulary {
  std::vector<std::string> tokens;  // spaces as U+2581; no text twice
  std::vector<TokenKind> kinds;     // one per token
  std::vector<std::string> merges;  // "left right", most urgent first

  int64_t n_tokens() const { return static_cast<int64_t>(tokens.size()); }
  void add(std::string text, TokenKind kind);
};

// Sets every tokenizer.ggml.* key that Carat and llama.cpp ask for. <pad>, <eos>, <bos>, <unk> and <mask>
// must be among the tokens.
void describe(const Vocabulary& vocabulary, gguf::Metadata& metadata);

// The 107 tokens that begin every Gemma 4 vocabulary: specials at their published ids, <unusedN> between
// them.
Vocabulary special_vocabulary();

inline constexpr int64_t kMinSampleTokens = 512;

// A working vocabulary of exactly n_tokens >= kMinSampleTokens: the specials, newline runs, all bytes, ASCII,
// and then letter strings in order of length, each with the merge that makes it. From 258,885 tokens on the
// media tokens stand at their published ids too.
Vocabulary sample_vocabulary(int64_t n_tokens);

}  // namespace carat
