// The trained vocabulary is what gemma4.md's encoder expects, and cuts lab text at its pieces.
#include "lab/tokenizer_training.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "lab/plain_encoder.h"

namespace carat::lab {
namespace {

const gguf::Metadata& vocabulary() {
  static const gguf::Metadata metadata = [] {
    gguf::Metadata result;
    train_tokenizer(sample_text(Language{}, 1, 3000), 512, result);
    return result;
  }();
  return metadata;
}

std::vector<std::string_view> tokens() { return texts_of(vocabulary(), "tokenizer.ggml.tokens"); }

TEST(TokenizerTraining, LaysOutTheVocabulary) {
  const std::vector<std::string_view> all = tokens();
  ASSERT_EQ(all.size(), 512u);
  EXPECT_EQ(std::set<std::string_view>(all.begin(), all.end()).size(), 512u);
  EXPECT_EQ(all[0], "<pad>");
  EXPECT_EQ(all[2], "<bos>");
  EXPECT_EQ(all[4], "<mask>");
  const auto first_byte = std::find(all.begin(), all.end(), "<0x00>");
  ASSERT_LT(first_byte - all.begin(), 20);
  EXPECT_EQ(*(first_byte + 255), "<0xFF>");
  EXPECT_EQ(*(first_byte + 256), "\n");
  for (const std::string_view token : {"<|turn>", "<turn|>", "<|tool_response>", "\u2581", "{", "w"})
    EXPECT_NE(std::find(all.begin(), all.end(), token), all.end()) << token;
  const auto types = *vocabulary().integers("tokenizer.ggml.token_type", 0);
  ASSERT_EQ(types.size(), 512u);
  EXPECT_EQ(types[2], 3);
  EXPECT_EQ(types[3], 2);
  EXPECT_EQ(types[static_cast<size_t>(first_byte - all.begin())], 6);
  EXPECT_EQ(types[500], 1);
}

TEST(TokenizerTraining, MergesStayInsideWords) {
  const std::vector<std::string_view> all = tokens();
  const auto merges = texts_of(vocabulary(), "tokenizer.ggml.merges");
  EXPECT_GT(merges.size(), 150u);
  std::set<std::string> made;
  for (const std::string_view merge : merges) {
    const size_t space = merge.find(' ', 1);
    std::string joined(merge.substr(0, space));
    joined += merge.substr(space + 1);
    for (size_t i = joined.starts_with("\u2581") ? 3 : 0; i < joined.size(); ++i)
      EXPECT_TRUE(std::isalpha(static_cast<unsigned char>(joined[i]))) << merge;
    EXPECT_NE(std::find(all.begin(), all.end(), joined), all.end()) << joined;
  }
}

// Ranks decide, not the training's order of words: "a b" joined first would hide "b c".
TEST(TokenizerTraining, MergesTheMostFrequentPairFirst) {
  gguf::Metadata metadata;
  train_tokenizer(" abc bc bc bc\n", 8 + 256 + 5 + 3, metadata);
  const auto merges = texts_of(metadata, "tokenizer.ggml.merges");
  ASSERT_EQ(merges.size(), 3u);
  EXPECT_EQ(merges[0], "b c");
  EXPECT_EQ(merges[1], "\u2581 bc");
  EXPECT_EQ(merges[2], "a bc");
  const auto texts = texts_of(metadata, "tokenizer.ggml.tokens");
  EXPECT_EQ(PlainEncoder(metadata).encode(" abc bc").size(), 3u);  // "▁", "abc", "▁bc"
  EXPECT_EQ(texts[8 + 256 + 5], "bc");
}

TEST(TokenizerTraining, FillsUpWithUnusedTokens) {
  gguf::Metadata metadata;
  train_tokenizer(" ab\n", 300, metadata);
  const auto texts = texts_of(metadata, "tokenizer.ggml.tokens");
  ASSERT_EQ(texts.size(), 300u);
  EXPECT_EQ(texts[299], fmt::format("<unused{}>", 300 - (8 + 256 + 4 + 2) - 1));
}

TEST(TokenizerTraining, TokensOfPiecesAreTokensOfTheDocument) {
  const PlainEncoder encoder(vocabulary());
  const Language language;
  Random random(17);
  for (const std::string_view kind : kinds()) {
    for (int i = 0; i < 50; ++i) {
      const Document document = language.draw(kind, random);
      std::vector<int32_t> pieces;
      for (const Piece& piece : document.pieces)
        for (const int32_t token : encoder.encode(piece.text)) pieces.push_back(token);
      ASSERT_EQ(pieces, encoder.encode(document.text())) << document.text();
    }
  }
}

TEST(TokenizerTraining, DocumentsFitARowAndNearlyEveryWordIsAToken) {
  const PlainEncoder encoder(vocabulary());
  const Language language;
  Random random(19);
  size_t n_tokens = 0;
  for (int i = 0; i < 2000; ++i) {
    const size_t length = encoder.encode(language.draw(random).text()).size();
    ASSERT_LE(length, 127u);
    n_tokens += length;
  }
  EXPECT_GT(n_tokens, 2000u * 44);
  EXPECT_LT(n_tokens, 2000u * 52);
}

}  // namespace
}  // namespace carat::lab
