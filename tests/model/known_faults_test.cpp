// The publicly known faults of model loaders that lie beyond the container (which
// tests/gguf/known_faults_test.cpp has): one test each, named after the fault.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "model/tokenizer.h"
#include "model/vocabulary.h"

namespace carat {
namespace {

Result<Tokenizer> load(const Vocabulary& vocabulary,
                       const std::function<void(gguf::Metadata&)>& change = nullptr) {
  gguf::Metadata metadata;
  describe(vocabulary, metadata);
  if (change) change(metadata);
  return Tokenizer::load(metadata);
}

// A token's length was cast to 32 bits and compared with a buffer's: here it never leaves 64.
TEST(KnownFaults, CVE_2025_49847_LongTokens) {
  Vocabulary vocabulary = sample_vocabulary(kMinSampleTokens);
  const std::string text(size_t{1} << 20, 'x');
  vocabulary.add(text, TokenKind::normal);
  const auto tokenizer = load(vocabulary);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const Token last = static_cast<Token>(tokenizer->n_tokens() - 1);
  EXPECT_EQ(tokenizer->token_text(last), text);
  EXPECT_EQ(tokenizer->piece(last), text);
}

// A signed count of tokens was compared with an unsigned room for them: here there is no room to overrun.
TEST(KnownFaults, CVE_2025_52566_MoreTokensThanRoom) {
  const auto tokenizer = load(sample_vocabulary(kMinSampleTokens));
  ASSERT_TRUE(tokenizer);
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += static_cast<char>('!' + i % 90);
  const std::vector<Token> tokens = tokenizer->encode(text, {.add_bos = true, .parse_special = false});
  EXPECT_GT(tokens.size(), 1000u);
  EXPECT_TRUE(std::ranges::all_of(tokens, [&](Token t) { return t >= 0 && t < tokenizer->n_tokens(); }));
  EXPECT_EQ(tokenizer->decode(tokens), text);
}

// Check 11 of the hardened reader: ids beyond the vocabulary and arrays that are not as long as it.
TEST(KnownFaults, IdsAndLengthsBeyondTheVocabulary) {
  const Vocabulary vocabulary = sample_vocabulary(kMinSampleTokens);
  for (const std::string_view key : {"bos", "eos", "unknown"}) {
    const std::string name = fmt::format("tokenizer.ggml.{}_token_id", key);
    const auto tokenizer = load(vocabulary, [&](gguf::Metadata& m) { m.set(name, uint32_t{512}); });
    ASSERT_FALSE(tokenizer) << key;
    EXPECT_EQ(tokenizer.error().message, fmt::format("key '{}': 512 is outside 0..511", name));
  }
  const auto tokenizer = load(vocabulary, [](gguf::Metadata& m) {
    m.set("tokenizer.ggml.token_type", gguf::Array(std::vector<int32_t>(511, 1)));
  });
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error().message,
            "key 'tokenizer.ggml.token_type': 511 entries, expected one for each of 512 tokens");
}

}  // namespace
}  // namespace carat
