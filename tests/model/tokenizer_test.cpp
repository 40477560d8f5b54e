// The tokenizer against a small hand-built vocabulary, and against a quadratic BPE written here on random
// text.
#include "model/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>

#include "base/random.h"
#include "model/symbols.h"
#include "model/vocabulary.h"

namespace carat {
namespace {

const std::string kSp = "\u2581";

// Letters a-e and h, the space, newline runs of 1 and 2, bytes, and some merges.
Vocabulary small_vocabulary() {
  Vocabulary v = special_vocabulary();
  v.add("\n", TokenKind::normal);
  v.add("\n\n", TokenKind::normal);
  for (int byte = 0; byte < 256; ++byte) v.add(fmt::format("<0x{:02X}>", byte), TokenKind::byte);
  for (const std::string text : {"a", "b", "c", "d", "e", "h", "<", ">", "/", "s", "é"})
    v.add(text, TokenKind::normal);
  v.add(kSp, TokenKind::normal);
  for (const std::string& text :
       {std::string("ab"), std::string("abc"), kSp + kSp, "a" + kSp + "b", std::string("he"), kSp + "he"})
    v.add(text, TokenKind::normal);
  v.add("<|turn>x", TokenKind::user_defined);
  v.add("</s>", TokenKind::control);
  // "a sp" and "d e" make pieces that are no tokens.
  v.merges = {"a b", "ab c", kSp + " " + kSp, "a " + kSp, "a" + kSp + " b", "h e", kSp + " he", "d e"};
  return v;
}

Result<Tokenizer> load(const Vocabulary& vocabulary) {
  gguf::Metadata metadata;
  describe(vocabulary, metadata);
  return Tokenizer::load(metadata);
}

struct TokenizerTest : testing::Test {
  Tokenizer tokenizer = load(small_vocabulary()).take();

  std::vector<Token> ids(std::vector<std::string> texts) const {
    std::vector<Token> tokens;
    for (const std::string& text : texts) {
      tokens.push_back(tokenizer.find(text));
      EXPECT_GE(tokens.back(), 0) << text;
    }
    return tokens;
  }
  std::vector<Token> encode(std::string_view text, bool parse_special = false) const {
    return tokenizer.encode(text, {.add_bos = false, .parse_special = parse_special});
  }
};

TEST_F(TokenizerTest, MergesByRankNotByPosition) {
  EXPECT_EQ(encode("abc"), ids({"abc"}));
  EXPECT_EQ(encode("aabcb"), ids({"a", "abc", "b"}));
  EXPECT_EQ(encode(" he"), ids({kSp + "he"}));
  EXPECT_EQ(encode("").size(), 0u);
}

TEST_F(TokenizerTest, MergesCrossSpaces) {
  EXPECT_EQ(encode("a b"), ids({"a" + kSp + "b"}));
  EXPECT_EQ(encode("  a"), ids({kSp + kSp, "a"}));
  EXPECT_EQ(encode("   "), ids({kSp + kSp, kSp}));
}

TEST_F(TokenizerTest, NewlineRunsStandApart) {
  EXPECT_EQ(encode("a\nb"), ids({"a", "\n", "b"}));
  EXPECT_EQ(encode("a\n\nb\n"), ids({"a", "\n\n", "b", "\n"}));
  EXPECT_EQ(encode("\n\n\n"), ids({"\n", "\n", "\n"}));  // no token for three, and no merges of newlines
}

TEST_F(TokenizerTest, BytesForWhatHasNoToken) {
  EXPECT_EQ(encode("é"), ids({"é"}));
  EXPECT_EQ(encode("a€b"), ids({"a", "<0xE2>", "<0x82>", "<0xAC>", "b"}));
  EXPECT_EQ(encode("ade"), ids({"a", "<0x64>", "<0x65>"}));  // "de" merged, but it is no token
  EXPECT_EQ(encode("d"), ids({"d"}));
}

TEST_F(TokenizerTest, InvalidUtf8IsKeptByteByByte) {
  for (const std::string text :
       {"\xff", "a\xe2\x82", "\x80h", "\xc3", "\xf0\x9f\x98", "\xe2\x28\xa1", "b\xc3(\xff"})
    EXPECT_EQ(tokenizer.decode(encode(text)), text);
  EXPECT_EQ(encode("\xc3"), ids({"<0xC3>"}));
  EXPECT_EQ(encode("a\xff"), ids({"a", "<0xFF>"}));
}

TEST_F(TokenizerTest, ControlTokensOnlyWhenAsked) {
  EXPECT_EQ(encode("<bos>a", true), ids({"<bos>", "a"}));
  EXPECT_NE(encode("<bos>a")[0], tokenizer.bos());
  EXPECT_EQ(tokenizer.decode(encode("<bos>a")), "<bos>a");
  EXPECT_EQ(encode("a<turn|>", true), ids({"a", "<turn|>"}));
}

TEST_F(TokenizerTest, UserDefinedTokensAlways) {
  EXPECT_EQ(encode("a<|channel>b"), ids({"a", "<|channel>", "b"}));
  EXPECT_EQ(encode("a<|channel>b", true), ids({"a", "<|channel>", "b"}));
  EXPECT_EQ(encode("<|\"|><|\"|>"), ids({"<|\"|>", "<|\"|>"}));
}

TEST_F(TokenizerTest, LongestSpecialFirst) {
  EXPECT_EQ(encode("<|turn>x<|turn>", true), ids({"<|turn>x", "<|turn>"}));
  EXPECT_EQ(encode("<|turn>x"), ids({"<|turn>x"}));
}

TEST_F(TokenizerTest, EndTokensAreControlWhateverTheFileSays) {
  EXPECT_EQ(tokenizer.kind(tokenizer.find("<|tool_response>")), TokenKind::control);
  EXPECT_EQ(tokenizer.kind(tokenizer.find("</s>")), TokenKind::normal);
  for (const std::string text : {"<eos>", "<turn|>", "<|tool_response>"})
    EXPECT_TRUE(tokenizer.is_end_of_generation(tokenizer.find(text))) << text;
  for (const std::string text : {"</s>", "a", "<bos>", "<|turn>"})
    EXPECT_FALSE(tokenizer.is_end_of_generation(tokenizer.find(text))) << text;
}

// Merges and newline runs that lead to control tokens: only a hostile vocabulary has them.
TEST(Tokenizer, ControlTokensNeverComeOutOfPlainText) {
  for (const TokenKind kind : {TokenKind::control, TokenKind::unknown}) {
    Vocabulary v = small_vocabulary();
    v.add("hh", kind);
    v.add("\n\n\n", kind);
    v.merges.push_back("h h");
    const Tokenizer tokenizer = load(v).take();
    const auto encode = [&](std::string_view text, bool parse_special) {
      return tokenizer.encode(text, {.add_bos = false, .parse_special = parse_special});
    };
    const Token h = tokenizer.find("<0x68>"), newline = tokenizer.find("\n");
    EXPECT_EQ(encode("hh", false), (std::vector<Token>{h, h}));
    EXPECT_EQ(encode("\n\n\n", false), (std::vector<Token>{newline, newline, newline}));
    EXPECT_EQ(encode("hh", true), std::vector<Token>{tokenizer.find("hh")});
  }
  // A file that declares a byte's token to be the beginning of texts.
  gguf::Metadata metadata;
  describe(small_vocabulary(), metadata);
  const Token q = load(small_vocabulary()).take().find("<0x71>");
  metadata.set("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(q));
  EXPECT_EQ(Tokenizer::load(metadata).take().encode("q", {.add_bos = false}), std::vector<Token>{3});
}

TEST_F(TokenizerTest, BosOnce) {
  const Tokenizer::EncodeOptions plain{.add_bos = true, .parse_special = false};
  const Tokenizer::EncodeOptions special{.add_bos = true, .parse_special = true};
  EXPECT_EQ(tokenizer.encode("a", plain), ids({"<bos>", "a"}));
  EXPECT_EQ(tokenizer.encode("<bos>a", special), ids({"<bos>", "a"}));
  EXPECT_EQ(tokenizer.encode("", plain), ids({"<bos>"}));
}

TEST_F(TokenizerTest, Decodes) {
  EXPECT_EQ(tokenizer.decode(ids({"<bos>", kSp + "he", "\n", "<|channel>", "<turn|>"})), " he\n<|channel>");
  EXPECT_EQ(tokenizer.decode(ids({"<bos>", kSp + "he", "<turn|>"}), true), "<bos> he<turn|>");
  EXPECT_EQ(tokenizer.decode(ids({"<0xE2>", "<0x82>", "<0xAC>"})), "€");
  EXPECT_EQ(tokenizer.piece(-1), "");
  EXPECT_EQ(tokenizer.piece(1 << 30), "");
}

// Finds the lowest rank by looking at every pair, again and again.
std::vector<Token> naive_encode(const Tokenizer& tokenizer, const std::vector<std::string>& merges,
                                const std::string& text) {
  std::map<std::pair<std::string, std::string>, size_t> ranks;
  for (size_t i = 0; i < merges.size(); ++i) {
    const size_t space = merges[i].find(' ', 1);
    ranks.emplace(std::pair(merges[i].substr(0, space), merges[i].substr(space + 1)), i);
  }
  std::vector<std::string> pieces;
  for (size_t i = 0; i < text.size(); i += pieces.back().size())
    pieces.push_back(text.substr(i, code_point_length(text.substr(i))));
  constexpr size_t kNone = std::numeric_limits<size_t>::max();
  while (true) {
    size_t best = kNone, at = 0;
    for (size_t i = 0; i + 1 < pieces.size(); ++i) {
      const auto found = ranks.find({pieces[i], pieces[i + 1]});
      if (found != ranks.end() && found->second < best) best = found->second, at = i;
    }
    if (best == kNone) break;
    pieces[at] += pieces[at + 1];
    pieces.erase(pieces.begin() + static_cast<ptrdiff_t>(at) + 1);
  }
  std::vector<Token> tokens;
  for (const std::string& piece : pieces) {
    if (const Token token = tokenizer.find(piece); token >= 0)
      tokens.push_back(token);
    else
      for (const char c : piece)
        tokens.push_back(tokenizer.find(fmt::format("<0x{:02X}>", static_cast<uint8_t>(c))));
  }
  return tokens;
}

TEST(Tokenizer, EqualsQuadraticBpeOnRandomVocabulariesAndTexts) {
  const std::vector<std::string> alphabet = {"a", "b", kSp, "é"};
  Random random(7);
  for (int round = 0; round < 40; ++round) {
    Vocabulary v = special_vocabulary();
    for (int byte = 0; byte < 256; ++byte) v.add(fmt::format("<0x{:02X}>", byte), TokenKind::byte);
    std::vector<std::string> pieces = alphabet;
    for (const std::string& text : alphabet) v.add(text, TokenKind::normal);
    for (int i = 0; i < 30; ++i) {
      const auto pick = [&] {
        return pieces[static_cast<size_t>(random.below(static_cast<int64_t>(pieces.size())))];
      };
      const std::string left = pick(), right = pick(), whole = left + right;
      v.merges.push_back(left + " " + right);  // repeated pairs and pieces that are no tokens occur
      const bool known = std::find(v.tokens.begin(), v.tokens.end(), whole) != v.tokens.end();
      if (!known && random.below(5) != 0) v.add(whole, TokenKind::normal);
      pieces.push_back(whole);
    }
    const Tokenizer tokenizer = load(v).take();
    for (int i = 0; i < 25; ++i) {
      std::string text;
      const int64_t length = random.below(i == 0 ? 400 : 60);  // words, and what is too long for one
      for (int64_t j = 0; j < length; ++j) text += alphabet[static_cast<size_t>(random.below(4))];
      ASSERT_EQ(tokenizer.encode(text, {.add_bos = false}), naive_encode(tokenizer, v.merges, text)) << text;
    }
  }
}

TEST(Tokenizer, SampleVocabularyRoundTripsText) {
  for (const int64_t n : {kMinSampleTokens, int64_t{5000}}) {
    const Vocabulary v = sample_vocabulary(n);
    ASSERT_EQ(v.n_tokens(), n);
    const Tokenizer tokenizer = load(v).take();
    const std::string text = "The quick brown fox\n\njumps over  12 lazy dogs: naïve.";
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, {})), text);
    EXPECT_EQ(tokenizer.token_text(106), "<turn|>");
  }
}

TEST(Tokenizer, SampleVocabularyOfPublishedSizeHasThePublishedIds) {
  const Tokenizer tokenizer = load(sample_vocabulary(262144)).take();
  EXPECT_EQ(tokenizer.find("<|image>"), 255999);
  EXPECT_EQ(tokenizer.find("<|audio>"), 256000);
  EXPECT_EQ(tokenizer.find("<|video|>"), 258884);
  EXPECT_EQ(tokenizer.find("\n"), 107);
  // A paragraph of 200 kB: the quadratic algorithm would take minutes.
  Random random(1);
  std::string text;
  for (int i = 0; i < 200000; ++i)
    text += random.below(6) == 0 ? ' ' : static_cast<char>('a' + random.below(26));
  const std::vector<Token> tokens = tokenizer.encode(text, {.add_bos = false});
  EXPECT_LT(tokens.size(), text.size());
  EXPECT_EQ(tokenizer.decode(tokens), text);
}

// The error that loading gives after `change` to good metadata.
template <class Change>
std::string error_after(Change change) {
  gguf::Metadata metadata;
  describe(small_vocabulary(), metadata);
  change(metadata);
  const Result<Tokenizer> result = Tokenizer::load(metadata);
  return result ? "no error" : result.error().message;
}

TEST(Tokenizer, RefusesBadVocabularies) {
  using gguf::Array;
  using gguf::Metadata;
  EXPECT_EQ(error_after([](Metadata&) {}), "no error");
  EXPECT_EQ(error_after([](Metadata& m) { m.set("tokenizer.ggml.model", std::string("gpt2")); }),
            "key 'tokenizer.ggml.model': 'gpt2', expected 'gemma4'");
  EXPECT_EQ(error_after([](Metadata& m) { m.set("tokenizer.ggml.model", std::string("x\n\x1b[1m")); }),
            "key 'tokenizer.ggml.model': 'x\\x0a\\x1b[1m', expected 'gemma4'");
  EXPECT_EQ(error_after([](Metadata& m) {
              Vocabulary v = small_vocabulary();
              v.add("<" + std::string(255, 'x'), TokenKind::user_defined);
              describe(v, m);
            }),
            "no error");
  EXPECT_EQ(error_after([](Metadata& m) {
              Vocabulary v = small_vocabulary();
              v.add("<" + std::string(256, 'x'), TokenKind::control);
              describe(v, m);
            }),
            fmt::format("key 'tokenizer.ggml.tokens': special token {} has 257 bytes, expected at most 256",
                        small_vocabulary().n_tokens()));
  EXPECT_EQ(error_after([](Metadata& m) {
              describe(special_vocabulary(), m);
              m.set_texts("tokenizer.ggml.merges", std::vector<std::string>{"a b"});
              m.set("tokenizer.ggml.unknown_token_id", uint32_t{2});
            }),
            "key 'tokenizer.ggml.unknown_token_id': 2 is a special token, it cannot stand for <0x00>");
  EXPECT_EQ(error_after([](Metadata& m) { m.set("tokenizer.ggml.token_type", int32_t{1}); }),
            fmt::format("key 'tokenizer.ggml.token_type': 1 entries, expected one for each of {} tokens",
                        small_vocabulary().n_tokens()));
  EXPECT_EQ(error_after([](Metadata& m) { m.remove("tokenizer.ggml.merges"); }),
            "key 'tokenizer.ggml.merges' is missing");
  EXPECT_EQ(
      error_after([](Metadata& m) { m.set_texts("tokenizer.ggml.merges", std::vector<std::string>{"ab"}); }),
      "key 'tokenizer.ggml.merges': merge 0 is not two pieces with a space between them");
  EXPECT_EQ(
      error_after([](Metadata& m) { m.set_texts("tokenizer.ggml.merges", std::vector<std::string>{""}); }),
      "key 'tokenizer.ggml.merges': merge 0 is not two pieces with a space between them");
  EXPECT_EQ(error_after([](Metadata& m) {
              m.set_texts("tokenizer.ggml.tokens", std::vector<std::string>{"a", "a"});
            }),
            "key 'tokenizer.ggml.tokens': token 1 repeats token 0");
  const int64_t n = small_vocabulary().n_tokens();
  EXPECT_EQ(
      error_after([](Metadata& m) { m.set("tokenizer.ggml.token_type", Array(std::vector<int32_t>{1})); }),
      fmt::format("key 'tokenizer.ggml.token_type': 1 entries, expected one for each of {} tokens", n));
  EXPECT_EQ(error_after([&](Metadata& m) {
              m.set("tokenizer.ggml.token_type", Array(std::vector<int32_t>(static_cast<size_t>(n), 9)));
            }),
            "key 'tokenizer.ggml.token_type': 9 (token 0) is outside 1..6");
  EXPECT_NE(error_after([&](Metadata& m) {
              m.set("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(n));
            }).find("is outside"),
            std::string::npos);
}

}  // namespace
}  // namespace carat
