// Suites: reading them from JSON lines, and hashes that notice every change.
#include <gtest/gtest.h>

#include <algorithm>

#include "eval/scores.h"
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

TEST(SuiteFile, MessagesGoIntoTheTemplate) {
  const Tokenizer t = tokenizer();
  const auto read = [&](const std::string& line) { return parse_suite(line, "s", t, config()).take().items.at(0); };
  const SuiteItem asked = read(R"({"question": "17 + 25?", "answer": "42"})");
  const std::string user = R"({"role": "user", "content": "17 + 25?"})";
  const SuiteItem beside = read(R"({"messages": [)" + user + R"(], "answer": "42"})");
  const SuiteItem last = read(R"({"messages": [)" + user + R"(, {"role": "assistant", "content": "42"}]})");
  for (const SuiteItem& item : {beside, last}) {
    EXPECT_EQ(item.tokens, asked.tokens);
    EXPECT_EQ(item.first_scored, asked.first_scored);
    ASSERT_EQ(item.answers.size(), 1u);
    EXPECT_EQ(text_of(t, item, item.answers[0]), "42<turn|>");
  }
  // What was said before is no answer.
  Config wide = config();
  wide.context_length = 256;
  const Suite longer = parse_suite(R"({"messages": [{"role": "system", "content": "brief"}, {"role": "user", "content": "1?"},)"
                                   R"({"role": "assistant", "content": "one"}, {"role": "user", "content": "2?"}], "answer": "two"})", "s", t, wide).take();
  ASSERT_EQ(longer.n_answers(), 1);
  EXPECT_EQ(text_of(t, longer.items[0], longer.items[0].answers[0]), "two<turn|>");
  EXPECT_NE(t.decode(longer.items[0].tokens, true).find("<|turn>model\none<turn|>"), std::string::npos);
}

TEST(SuiteFile, ACallCanBeTheAnswer) {
  const Tokenizer t = tokenizer();
  Config wide = config();
  wide.context_length = 512;
  const std::string tools = R"("tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object",)"
                            R"("properties": {"at": {"type": "string"}}}}}])";
  const std::string call = R"({"role": "assistant", "tool_calls": [{"function": {"name": "look", "arguments": {"at": "x"}}}]})";
  const std::string messages = R"({"messages": [{"role": "user", "content": "look"}, )";
  for (const bool small : {true, false}) {
    wide.per_layer_dim = small ? 1 : 0;
    const Suite suite = parse_suite(messages + call + "], " + tools + "}", "s", t, wide).take();
    ASSERT_EQ(suite.n_answers(), 1);
    EXPECT_EQ(text_of(t, suite.items[0], suite.items[0].answers[0]),
              "<|tool_call>call:look{at:<|\"|>x<|\"|>}<tool_call|><|tool_response>");
  }
  const auto message = [&](const std::string& line) { return parse_suite(line, "s", t, wide).error().message; };
  EXPECT_NE(message(messages + R"({"role": "assistant", "content": "x"}], "answer": "y"})").find("one answer"), std::string::npos);
  EXPECT_NE(message(R"({"messages": [{"role": "user", "content": "look"}]})").find("one answer"), std::string::npos);
  EXPECT_NE(message(R"({"messages": [{"role": "assistant", "content": "x"}]})").find("without a question"), std::string::npos);
  EXPECT_NE(message(messages + R"({"role": "assistant", "content": "x", "reasoning": "hm"}]})").find("thinking"), std::string::npos);
  EXPECT_NE(message(R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}], "answer": "y"})").find("pictures"),
            std::string::npos);
  EXPECT_NE(message(R"({"messages": 3, "answer": "y"})"), "");
}

TEST(SuiteFile, CheckersSayWhatIsJudged) {
  const Tokenizer t = tokenizer();
  const auto parse = [&](const std::string& checker) {
    return parse_suite(R"({"question": "x", "answer": "some prose", "checker": ")" + checker + "\"}", "s", t, config());
  };
  const Suite exact = parse("exact").take(), prose = parse("likelihood").take();
  EXPECT_EQ(exact.n_answers(), 1);
  EXPECT_EQ(prose.n_answers(), 0);
  EXPECT_EQ(prose.items[0].tokens, exact.items[0].tokens);
  ASSERT_EQ(prose.items[0].answers.size(), 1u);
  EXPECT_FALSE(prose.items[0].answers[0].is_exact);
  EXPECT_NE(prose.hash(), exact.hash());
  for (const char* checker : {"contains", "regex", "json", "number", ""}) {
    const auto refused = parse(checker);
    ASSERT_FALSE(refused.has_value()) << checker;
    EXPECT_NE(refused.error().message.find("expected \"exact\" or \"likelihood\""), std::string::npos);
    EXPECT_EQ(refused.error().message.find('\n'), std::string::npos);
  }
  const Suite prompt = parse_suite(R"({"prompt": "x", "answer": "y", "checker": "likelihood"})", "s", t, config()).take();
  EXPECT_FALSE(prompt.items[0].answers.at(0).is_exact);
}

TEST(Scores, ProseCountsAmongTokensAlone) {
  Suite suite;
  suite.items.resize(2);
  suite.items[0] = {"a", {2, 5, 6, 7, 8}, {{2, 3}, {3, 5, false}}, 1};
  suite.items[1] = {"b", {2, 5}, {{1, 2}}, 1};
  const LockstepScores scores = empty_scores(suite, 1, 0);
  EXPECT_EQ(scores.n_answers, (std::vector<double>{1, 1}));
  EXPECT_EQ(scores.n_answer_tokens, (std::vector<double>{3, 1}));
  EXPECT_EQ(scores.n_right(0), (std::vector<double>{1, 1}));  // nothing wrong was seen yet, and prose is not right
}

TEST(Scores, AppendedOnesAreThoseOfTheWhole) {
  const auto fill = [](LockstepScores& s, int from) {
    // A value that says which item, answer or token it belongs to.
    for (size_t m = 0; m < s.models.size(); ++m) {
      for (size_t i = 0; i < s.models[m].nll.size(); ++i) s.models[m].nll[i] = from + static_cast<double>(i + 100 * m);
      for (size_t a = 0; a < s.models[m].correct.size(); ++a) s.models[m].correct[a] = (static_cast<size_t>(from) + a) % 2;
    }
    for (size_t i = 0; i < s.pairs[0].kld.size(); ++i) s.pairs[0].kld[i] = from + static_cast<double>(i);
  };
  Suite first, second, all;
  first.items = {{"a", {2, 5, 6}, {{1, 2}, {2, 3}}, 1}, {"b", {2, 5, 6, 7}, {}, 2}};
  second.items = {{"a", {2, 9, 6}, {{2, 3, false}}, 1}};
  for (const Suite* s : {&first, &second}) all.items.insert(all.items.end(), s->items.begin(), s->items.end());
  LockstepScores joined = empty_scores(first, 2, 1), more = empty_scores(second, 2, 1), whole = empty_scores(all, 2, 1);
  fill(joined, 0);
  fill(more, 2);
  fill(whole, 0);
  joined.append(more);
  EXPECT_EQ(joined.first_answer, whole.first_answer);
  EXPECT_EQ(joined.first_token, whole.first_token);
  EXPECT_EQ(joined.is_exact, whole.is_exact);
  EXPECT_EQ(joined.n_tokens, whole.n_tokens);
  EXPECT_EQ(joined.n_answers, whole.n_answers);
  EXPECT_EQ(joined.n_answer_tokens, whole.n_answer_tokens);
  for (size_t m = 0; m < 2; ++m) {
    EXPECT_EQ(joined.models[m].nll, whole.models[m].nll);
    EXPECT_EQ(joined.models[m].correct, whole.models[m].correct);
    EXPECT_EQ(joined.models[m].answer_nll.size(), 3u);
    EXPECT_EQ(joined.models[m].token_nll.size(), whole.models[m].token_nll.size());
  }
  EXPECT_EQ(joined.pairs[0].kld, whole.pairs[0].kld);
  EXPECT_EQ(joined.pairs[0].token_kld.size(), whole.pairs[0].token_kld.size());
  EXPECT_EQ(joined.n_right(1), whole.n_right(1));
}

TEST(SuiteFile, UnknownKeysAreNamed) {
  const Tokenizer t = tokenizer();
  const auto message = [&](const char* line) { return parse_suite(line, "s", t, config()).error().message; };
  EXPECT_EQ(message(R"({"question": "x", "answer": "y", "catgory": "z"})"),
            "s: line 1: unknown key \"catgory\"; a line with \"question\" may have \"question\", \"answer\", "
            "\"category\", \"checker\"");
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
  EXPECT_TRUE(changed([](Suite& s) { s.items[0].answers[0].is_exact = false; }));
  EXPECT_TRUE(changed([](Suite& s) { s.items[0].first_scored = 2; }));
  EXPECT_TRUE(changed([](Suite& s) { std::swap(s.items[0], s.items[1]); }));
  EXPECT_TRUE(changed([](Suite& s) { s.items.pop_back(); }));
  EXPECT_EQ(suite.n_scored_tokens(), 4);
}

}  // namespace
}  // namespace carat
