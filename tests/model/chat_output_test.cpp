// What a model writes, split into thoughts, answer and calls: whole, in every pair of pieces, and cut short
// everywhere.
#include "model/chat_output.h"

#include <gtest/gtest.h>

#include "model/vocabulary.h"

namespace carat {
namespace {

struct Output {
  std::string reasoning, content;
  std::vector<ToolCall> calls, unfinished;
  bool operator==(const Output&) const = default;
};

void add(const OutputDelta& delta, Output& output) {
  output.reasoning += delta.reasoning;
  output.content += delta.content;
  output.calls.insert(output.calls.end(), delta.calls.begin(), delta.calls.end());
}

Output parse(std::vector<std::string_view> pieces, bool in_thought = false) {
  OutputParser parser(in_thought);
  Output output;
  for (const std::string_view piece : pieces) add(parser.push(piece), output);
  add(parser.finish(), output);
  output.unfinished = parser.unfinished_call();
  return output;
}

const std::string kOutput =
    "<|channel>thought\nI must look.\nTwice < thrice.\n<channel|>Let me <see>: "
    "<|tool_call>call:get_weather{city:<|\"|>Oslo<|\"|>,days:[1,2]}<tool_call|>"
    "<|tool_call>call:f{}<tool_call|><|tool_response>";

TEST(ChatOutput, ThoughtsAnswerAndCalls) {
  const Output output = parse({kOutput});
  EXPECT_EQ(output.reasoning, "I must look.\nTwice < thrice.");
  EXPECT_EQ(output.content, "Let me <see>: ");
  ASSERT_EQ(output.calls.size(), 2u);
  EXPECT_EQ(output.calls[0],
            (ToolCall{"", "get_weather", {{"city", "Oslo"}, {"days", JsonValue::Array{1, 2}}}}));
  EXPECT_EQ(output.calls[1], (ToolCall{"", "f", {}}));
  EXPECT_TRUE(output.unfinished.empty());
}

TEST(ChatOutput, PlainAnswers) {
  EXPECT_EQ(parse({"Hello.<turn|>"}), (Output{"", "Hello.", {}, {}}));
  EXPECT_EQ(parse({""}), Output());
  EXPECT_EQ(parse({"a < b <| c <|tool"}), (Output{"", "a < b <| c <|tool", {}, {}}));
  EXPECT_EQ(parse({"<|channel>thought\n<channel|>Hi"}), (Output{"", "Hi", {}, {}}));
  EXPECT_EQ(parse({"stray<channel|>text"}), (Output{"", "straytext", {}, {}}));
  EXPECT_EQ(parse({"so\n<channel|>Hi"}, true), (Output{"so", "Hi", {}, {}}));
  EXPECT_EQ(parse({"<|channel>other\nx<channel|>y"}), (Output{"other\nx", "y", {}, {}}));
  EXPECT_EQ(parse({"say <|\"|>a<|\"|>"}), (Output{"", "say <|\"|>a<|\"|>", {}, {}}));
}

TEST(ChatOutput, WhatIsNoCallIsText) {
  EXPECT_EQ(parse({"<|tool_call>nonsense<tool_call|>!"}), (Output{"", "nonsense!", {}, {}}));
  EXPECT_EQ(parse({"<|tool_call>call:f{a:1<turn|>"}), (Output{"", "call:f{a:1", {}, {}}));
  EXPECT_EQ(parse({"<|tool_call>call:f{a:1}<|tool_call>call:g{}<tool_call|>"}),
            (Output{"", "", {{"", "f", {{"a", 1}}}, {"", "g", {}}}, {}}));
}

TEST(ChatOutput, CutsMakeNoDifference) {
  const Output whole = parse({kOutput});
  for (size_t a = 0; a <= kOutput.size(); ++a) {
    const std::string_view text = kOutput;
    ASSERT_EQ(parse({text.substr(0, a), text.substr(a)}), whole) << a;
    for (size_t b = a; b <= kOutput.size(); b += 7)
      ASSERT_EQ(parse({text.substr(0, a), text.substr(a, b - a), text.substr(b)}), whole) << a << ' ' << b;
  }
}

// What comes before the end is never taken back; a marker that is cut short is text in the end.
TEST(ChatOutput, EveryPrefixGivesNoMoreThanTheWhole) {
  const Output whole = parse({kOutput});
  for (size_t n = 0; n <= kOutput.size(); ++n) {
    const std::string text = kOutput.substr(0, n);
    OutputParser parser;
    Output part;
    add(parser.push(text), part);
    EXPECT_TRUE(whole.reasoning.starts_with(part.reasoning)) << n;
    EXPECT_TRUE(whole.content.starts_with(part.content)) << n;
    ASSERT_LE(part.calls.size(), whole.calls.size());
    for (size_t i = 0; i < part.calls.size(); ++i) EXPECT_EQ(part.calls[i], whole.calls[i]);
    add(parser.finish(), part);
    const bool in_call = text.rfind("<|tool_call>") + 1 > text.rfind("<tool_call|>") + 1;
    EXPECT_EQ(parser.unfinished_call().size(), in_call ? 1u : 0u) << n;
  }
}

TEST(ChatOutput, TokensAreMarkersAndTheirSpellingIsNot) {
  gguf::Metadata metadata;
  describe(sample_vocabulary(600), metadata);
  const Tokenizer tokenizer = Tokenizer::load(metadata).take();
  const auto parse_tokens = [&](std::span<const Token> tokens) {
    OutputParser parser;
    Output output;
    for (const Token token : tokens) add(parser.push(token, tokenizer), output);
    add(parser.finish(), output);
    return output;
  };
  EXPECT_EQ(parse_tokens(tokenizer.encode(kOutput, {.add_bos = false, .parse_special = true})),
            parse({kOutput}));
  std::vector<Token> spelled;
  for (const char c : std::string("<|channel>x")) spelled.push_back(tokenizer.find(std::string(1, c)));
  EXPECT_EQ(parse_tokens(spelled).content, "<|channel>x");
  const Token outside[] = {-1, 1 << 30};
  EXPECT_EQ(parse_tokens(outside), Output());
}

}  // namespace
}  // namespace carat
