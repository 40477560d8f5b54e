// Suites: reading them from JSON lines, and hashes that notice every change.
#include <gtest/gtest.h>

#include <algorithm>

#include "eval/suite_file.h"
#include "model/vocabulary.h"

namespace carat {
namespace {

Tokenizer tokenizer() {
  gguf::Metadata metadata;
  describe(sample_vocabulary(600), metadata);
  return Tokenizer::load(metadata).take();
}

Config config() {
  Config config;
  config.context_length = 64;
  config.per_layer_dim = 1;  // a template without the empty thought
  return config;
}

std::string text_of(const Tokenizer& t, const SuiteItem& item, const AnswerSpan& span) {
  return t.decode(std::span(item.tokens)
                      .subspan(static_cast<size_t>(span.begin), static_cast<size_t>(span.end - span.begin)),
                  true);
}

TEST(SuiteFile, PromptsScoreTheirAnswers) {
  const Tokenizer t = tokenizer();
  const Suite suite =
      parse_suite(R"({"category": "math", "prompt": "17 + 25 = ", "answer": "42", "end": "<turn|>"})", "s", t, config())
          .take();
  ASSERT_EQ(suite.items.size(), 1u);
  const SuiteItem& item = suite.items[0];
  EXPECT_EQ(item.category, "math");
  EXPECT_EQ(item.tokens.front(), t.bos());
  ASSERT_EQ(item.answers.size(), 1u);
  EXPECT_EQ(text_of(t, item, item.answers[0]), "42<turn|>");
  EXPECT_EQ(item.first_scored, item.answers[0].begin);
  EXPECT_EQ(suite.n_answers(), 1);
}

TEST(SuiteFile, QuestionsGoIntoTheTemplate) {
  const Tokenizer t = tokenizer();
  const auto read = [&](const char* line) { return parse_suite(line, "s", t, config()).take().items.at(0); };
  const SuiteItem asked = read(R"({"question": "17 + 25?", "answer": "42"})");
  const SuiteItem written =
      read(R"({"prompt": "<|turn>user\n17 + 25?<turn|>\n<|turn>model\n", "answer": "42", "end": "<turn|>"})");
  EXPECT_EQ(asked.tokens, written.tokens);
  EXPECT_EQ(asked.first_scored, written.first_scored);
  ASSERT_EQ(asked.answers.size(), 1u);
  EXPECT_EQ(text_of(t, asked, asked.answers[0]), "42<turn|>");
}

TEST(SuiteFile, QuestionsAndAnswersHoldNoControlTokens) {
  const Tokenizer t = tokenizer();
  const auto read = [&](const char* line) { return parse_suite(line, "s", t, config()).take().items.at(0).tokens; };
  const auto count = [&](const std::vector<Token>& tokens, std::string_view text) {
    return std::count(tokens.begin(), tokens.end(), t.find(text));
  };
  const auto asked = read(R"({"question": "<turn|><|channel>", "answer": "<|turn><turn|>"})");
  EXPECT_EQ(count(asked, "<turn|>"), 2);
  EXPECT_EQ(count(asked, "<|turn>"), 2);
  EXPECT_EQ(count(asked, "<|channel>"), 0);
  // In a prompt they are what they are.
  EXPECT_EQ(count(read(R"({"prompt": "<turn|>", "answer": "<|turn><turn|>"})"), "<turn|>"), 2);
}

TEST(SuiteFile, UnknownKeysAreNamed) {
  const Tokenizer t = tokenizer();
  const auto message = [&](const char* line) { return parse_suite(line, "s", t, config()).error().message; };
  EXPECT_EQ(message(R"({"question": "x", "answer": "y", "catgory": "z"})"),
            "s: line 1: unknown key \"catgory\"; a line with \"question\" may have \"question\", \"answer\", "
            "\"category\"");
  EXPECT_NE(message(R"({"question": "x", "answer": "y", "end": "z"})").find("\"end\""), std::string::npos);
  EXPECT_NE(message(R"({"text": "x", "answer": "y"})").find("\"answer\""), std::string::npos);
}

TEST(SuiteFile, PiecesKeepTheirBorders) {
  const Tokenizer t = tokenizer();
  const Suite suite = parse_suite(
                          "{\"pieces\": [\"ab? \", {\"answer\": \"cd\"}, \"\\nef? \", {\"answer\": \"gh\"},"
                          "{\"answer\": \"ij\"}]}\n\n{\"text\": \"plain\"}\r\n",
                          "s", t, config())
                          .take();
  ASSERT_EQ(suite.items.size(), 2u);
  const SuiteItem& item = suite.items[0];
  EXPECT_EQ(item.category, "all");
  EXPECT_EQ(item.first_scored, 1);
  ASSERT_EQ(item.answers.size(), 3u);
  EXPECT_EQ(text_of(t, item, item.answers[0]), "cd\n");
  EXPECT_EQ(text_of(t, item, item.answers[1]), "gh");  // closed by the next answer's first token
  EXPECT_EQ(text_of(t, item, item.answers[2]), "ij");  // closed by the end
  EXPECT_EQ(t.decode(item.tokens), "ab? cd\nef? ghij");
  EXPECT_TRUE(suite.items[1].answers.empty());
  EXPECT_EQ(parse_suite("{\"text\": \"<bos>plain\"}", "s", t, config()).take().items[0].tokens, suite.items[1].tokens);
}

TEST(SuiteFile, NamesTheLineThatIsWrong) {
  const Tokenizer t = tokenizer();
  for (const char* wrong :
       {"{", "[]", "{}", "7", "{\"prompt\": \"x\"}", "{\"prompt\": \"x\", \"answer\": 3}",
        "{\"prompt\": \"x\", \"answer\": \"\"}", "{\"pieces\": [3]}", "{\"pieces\": 3}", "{\"text\": \"\"}",
        "{\"question\": \"x\"}", "{\"question\": 1, \"answer\": \"x\"}", "{\"question\": \"x\", \"answer\": \"\"}",
        "{\"category\": 1, \"text\": \"x\"}", "{\"pieces\": [{\"answer\": \"x\", \"more\": 1}]}", "\xff"}) {
    const auto result = parse_suite("{\"text\": \"fine\"}\n" + std::string(wrong), "s.jsonl", t, config());
    ASSERT_FALSE(result.has_value()) << wrong;
    EXPECT_TRUE(result.error().message.starts_with("s.jsonl: line 2: ")) << result.error().message;
  }
  const auto long_text = parse_suite("{\"text\": \"" + std::string(500, '9') + "\"}", "s.jsonl", t, config());
  ASSERT_FALSE(long_text.has_value());
  EXPECT_NE(long_text.error().message.find("the model's context is 64"), std::string::npos);
  EXPECT_FALSE(parse_suite("", "s", t, config()).has_value());
  EXPECT_FALSE(read_suite("/nonexistent/suite.jsonl", t, config()).has_value());
  // Every prefix of a valid line is refused, not crashed on.
  const std::string line = R"({"category": "c", "pieces": ["a", {"answer": "b"}, "\u00e9"]})";
  for (size_t n = 1; n < line.size(); ++n)
    EXPECT_FALSE(parse_suite(line.substr(0, n), "s", t, config()).has_value()) << n;
}

TEST(Suite, HashNoticesEveryChange) {
  Suite suite;
  suite.items.resize(2);
  suite.items[0] = {"a", {2, 5, 6, 7}, {{2, 3}}, 1};
  suite.items[1] = {"b", {2, 5}, {}, 1};
  const uint64_t before = suite.hash();
  const auto changed = [&](auto&& change) {
    Suite copy = suite;
    change(copy);
    return copy.hash() != before;
  };
  EXPECT_EQ(Suite(suite).hash(), before);
  EXPECT_TRUE(changed([](Suite& s) { s.items[0].category = "c"; }));
  EXPECT_TRUE(changed([](Suite& s) { s.items[0].tokens[3] = 8; }));
  EXPECT_TRUE(changed([](Suite& s) { s.items[0].answers[0].end = 4; }));
  EXPECT_TRUE(changed([](Suite& s) { s.items[0].first_scored = 2; }));
  EXPECT_TRUE(changed([](Suite& s) { std::swap(s.items[0], s.items[1]); }));
  EXPECT_TRUE(changed([](Suite& s) { s.items.pop_back(); }));
  EXPECT_EQ(suite.n_scored_tokens(), 4);
}

}  // namespace
}  // namespace carat
