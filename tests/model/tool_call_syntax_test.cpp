// Tool calls: what the template itself renders, what models make of it, and every prefix.
#include "model/tool_call_syntax.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "model/chat_segments.h"
#include "model/chat_tools.h"

namespace carat {
namespace {

using Array = JsonValue::Array;
using Object = JsonValue::Object;

Object arguments_of(std::string_view text) {
  const auto parsed = parse_tool_call(text);
  EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().message) << " in " << text;
  if (!parsed) return {};
  EXPECT_TRUE(parsed->complete) << text;
  return parsed->call.arguments;
}

std::string error_of(std::string_view text) {
  const auto parsed = parse_tool_call(text);
  return parsed ? "no error" : parsed.error().message;
}

TEST(ToolCallSyntax, ThePublishedExample) {
  const auto parsed = parse_tool_call(
      "call:get_weather{city:<|\"|>Oslo<|\"|>,days:[1,2],f:1.5,opt:{x:true},unit:<|\"|>c<|\"|>}");
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->complete);
  EXPECT_EQ(parsed->call.name, "get_weather");
  EXPECT_EQ(
      parsed->call.arguments,
      (Object{
          {"city", "Oslo"}, {"days", Array{1, 2}}, {"f", 1.5}, {"opt", Object{{"x", true}}}, {"unit", "c"}}));
}

TEST(ToolCallSyntax, Tolerance) {
  EXPECT_EQ(arguments_of(" call:f { a : 1 , b : [ ] , c : { } } \n"),
            (Object{{"a", 1}, {"b", Array()}, {"c", Object()}}));
  EXPECT_EQ(arguments_of("call:f{<|\"|>a key<|\"|>:null,\"b\":None,c:True}"),
            (Object{{"a key", JsonValue()}, {"b", JsonValue()}, {"c", true}}));
  EXPECT_EQ(arguments_of("call:f{a:\"q\\\"\\u00e9,}\",b:bare word,c:-1e3,d:1.2.3}"),
            (Object{{"a", "q\"é,}"}, {"b", "bare word"}, {"c", -1000.0}, {"d", "1.2.3"}}));
  EXPECT_EQ(arguments_of("call:f{a:<|\"|>}{,:]<|\"|>,a:2,}"), (Object{{"a", 2}}));
  EXPECT_EQ(arguments_of("call:f{text:<|\"|>no \\n escapes \"here\"<|\"|>}"),
            (Object{{"text", "no \\n escapes \"here\""}}));
}

// Which searching for each key among those before it would take minutes for.
TEST(ToolCallSyntax, AHundredThousandMembers) {
  constexpr int n = 100'000;
  std::string text = "call:f{", again;
  for (int i = 0; i < n; ++i) {
    text += fmt::format("key{}:{},", i, i);
    again += fmt::format("key{}:{},", n - 1 - i, -i);
  }
  const Object once = arguments_of(text + "}");
  ASSERT_EQ(once.size(), size_t{n});
  EXPECT_EQ(once[70'000], (std::pair<std::string, JsonValue>("key70000", 70'000)));
  const Object twice = arguments_of(text + again + "}");
  ASSERT_EQ(twice.size(), size_t{n});
  EXPECT_EQ(twice[70'000], (std::pair<std::string, JsonValue>("key70000", -29'999)));
  EXPECT_EQ(arguments_of("call:f{o:{" + text.substr(7) + again + "}}")[0].second, JsonValue(twice));
}

TEST(ToolCallSyntax, Refusals) {
  EXPECT_EQ(error_of("get_weather{}"), "a tool call that does not begin with call:");
  EXPECT_EQ(error_of("call:f{}x"), "a tool call with text behind its closing brace");
  EXPECT_EQ(error_of("call:f{a}"), "a tool call with a key that no colon follows");
  EXPECT_EQ(error_of("call:f{a:,b:1}"), "a tool call with an empty value");
  EXPECT_EQ(error_of("call:f{a:\"\\q\"}"), "a tool call with a quoted text that is not JSON's");
  const auto nested = [](size_t n) { return "call:f{a:" + std::string(n, '[') + std::string(n, ']') + "}"; };
  EXPECT_EQ(error_of(nested(63)), "no error");
  EXPECT_EQ(error_of(nested(64)), "a tool call that is nested deeper than 64");
  EXPECT_EQ(error_of(nested(1000000)), "a tool call that is nested deeper than 64");
}

TEST(ToolCallSyntax, EveryPrefixIsIncompleteAndNeverWrong) {
  const std::string text = "call:name{a:<|\"|>te<xt<|\"|>,b:[12,{c:tr},true],d:34,\"e\":\"x\"}";
  const Object whole = arguments_of(text);
  for (size_t n = 0; n < text.size(); ++n) {
    const auto parsed = parse_tool_call(std::string_view(text).substr(0, n));
    ASSERT_TRUE(parsed) << n << ' ' << parsed.error().message;
    EXPECT_FALSE(parsed->complete) << n;
    const Object& arguments = parsed->call.arguments;
    ASSERT_LE(arguments.size(), whole.size());
    // Numbers and words are whole or absent; only texts and lists may be shorter.
    for (size_t i = 0; i < arguments.size(); ++i) EXPECT_EQ(arguments[i].first, whole[i].first) << n;
    if (arguments.size() > 2) {
      EXPECT_EQ(arguments[2].second, whole[2].second) << n;
    }
    if (!arguments.empty()) {
      ASSERT_NE(arguments[0].second.text(), nullptr);
      EXPECT_TRUE(whole[0].second.text()->starts_with(*arguments[0].second.text())) << n;
    }
  }
}

JsonValue random_value(Random& random, int depth) {
  switch (random.below(depth > 0 ? 8 : 6)) {
    case 0:
      return JsonValue();
    case 1:
      return random.below(2) == 0;
    case 2:
      return static_cast<int64_t>(random.bits());
    case 3:
      return static_cast<double>(random.below(1000)) / 8 + 0.0625;
    case 4:
      return "text {[,:]} \"quoted\" <| \n";
    case 5:
      return "";
    case 6: {
      Array items;
      for (int64_t n = random.below(4); n > 0; --n) items.push_back(random_value(random, depth - 1));
      return items;
    }
    default: {
      Object members;
      for (int64_t n = random.below(4); n > 0; --n)
        members.emplace_back("k" + std::to_string(n), random_value(random, depth - 1));
      std::sort(members.begin(), members.end(),
                [](const auto& a, const auto& b) { return a.first < b.first; });
      return members;
    }
  }
}

// What the template shows of a call reads back as the call.
TEST(ToolCallSyntax, ReadsWhatIsRendered) {
  Random random(5);
  for (int round = 0; round < 500; ++round) {
    ToolCall call{"", "f", {}};
    for (int i = 0; i < 4; ++i) call.arguments.emplace_back("a" + std::to_string(i), random_value(random, 3));
    Segments segments;
    render_call(call, segments);
    std::string text;
    for (const ChatSegment& segment : segments.list())
      if (segment.text != "<|tool_call>" && segment.text != "<tool_call|>") text += segment.text;
    EXPECT_EQ(arguments_of(text), call.arguments) << text;
  }
}

}  // namespace
}  // namespace carat
