// JSON in and out, and Python's view of it.
#include "model/json_value.h"

#include <gtest/gtest.h>

#include <limits>

#include "model/python_text.h"

namespace carat {
namespace {

using Array = JsonValue::Array;
using Object = JsonValue::Object;

TEST(JsonValue, ReadsAndWrites) {
  const std::string text =
      R"({"b":[1,-2,0.5,null,true,false],"a":{"k":"é\n"},"":"","n":12345678901234567890})";
  const JsonValue value = parse_json(text).take();
  EXPECT_EQ(*value.find("b"), (Array{1, -2, 0.5, JsonValue(), true, false}));
  EXPECT_EQ(*value.find("a"), (Object{{"k", "é\n"}}));
  EXPECT_EQ(value.find("missing"), nullptr);
  EXPECT_EQ(value.find("b")->find("b"), nullptr);
  EXPECT_EQ(*value.find("n")->real(), 12345678901234567890.0);
  EXPECT_EQ(parse_json(to_json(value)).take(), value);
  EXPECT_EQ(to_json(Array{std::numeric_limits<double>::infinity(), "\xff"}), "[null,\"\xef\xbf\xbd\"]");
}

TEST(JsonValue, TheLastOfRepeatedMembersCounts) {
  EXPECT_EQ(parse_json(R"({"a":1,"b":2,"a":3,"c":4,"b":5})").take(), (Object{{"a", 3}, {"b", 5}, {"c", 4}}));
  std::string text = "{\"k\":0";
  for (int i = 0; i < 200000; ++i) text += ",\"k\":1";
  EXPECT_EQ(parse_json(text + "}").take(), (Object{{"k", 1}}));
}

TEST(JsonValue, RefusesWhatIsNotJson) {
  const std::string text = R"({"a":[1,{"b":"c\u0041"},-0.5e1],"d":null})";
  for (size_t n = 0; n < text.size(); ++n) EXPECT_FALSE(parse_json(text.substr(0, n))) << n;
  EXPECT_TRUE(parse_json(text));
  for (const char* bad : {"", "{", "[1,]", "nul", "1 2", "{'a':1}", "\"\xff\"", "1e999"})
    EXPECT_FALSE(parse_json(bad)) << bad;
  const std::string deep(64, '['), deeper(100000, '[');
  EXPECT_TRUE(parse_json(deep + std::string(64, ']')));
  EXPECT_EQ(parse_json(deeper).error().message, "JSON that is nested deeper than 64");
}

// Python 3.11's str() of the same values.
TEST(PythonText, Str) {
  const std::pair<JsonValue, const char*> cases[] = {
      {JsonValue(), "None"},
      {true, "True"},
      {false, "False"},
      {-7, "-7"},
      {1.0, "1.0"},
      {0.1, "0.1"},
      {1e16, "1e+16"},
      {123456789012345680.0, "1.2345678901234568e+17"},
      {1e15, "1000000000000000.0"},
      {0.0001, "0.0001"},
      {0.00001, "1e-05"},
      {-0.0, "-0.0"},
      {2.5e20, "2.5e+20"},
      {1e100, "1e+100"},
      {"te'xt", "te'xt"},
      {Array{"a", 1, JsonValue()}, "['a', 1, None]"},
      {Array{"it's", "\"q\"", "it's \"q\"", "\n\\\x01"},
       "[\"it's\", '\"q\"', 'it\\'s \"q\"', '\\n\\\\\\x01']"},
      {Object{{"k", Array()}}, "{'k': []}"},
  };
  for (const auto& [value, text] : cases) EXPECT_EQ(python_str(value), text);
}

TEST(PythonText, Strip) {
  EXPECT_EQ(python_strip(""), "");
  EXPECT_EQ(python_strip(" \t\r\n\v\f\x1c\x1f a b \n"), "a b");
  EXPECT_EQ(python_strip("\u00a0\u2003\u3000x\u2028\u0085"), "x");
  EXPECT_EQ(python_strip("\u3000\u2029"), "");
  EXPECT_EQ(python_strip("\u200bx\ufeff"), "\u200bx\ufeff");  // no spaces to Python
  EXPECT_EQ(python_strip("\x85 \xe3\x80"), "\x85 \xe3\x80");  // no UTF-8
}

TEST(PythonText, Truth) {
  for (const JsonValue& empty : {JsonValue(), JsonValue(false), JsonValue(0), JsonValue(0.0), JsonValue(""),
                                 JsonValue(Array()), JsonValue(Object())})
    EXPECT_FALSE(python_truth(empty));
  for (const JsonValue& full : {JsonValue(true), JsonValue(-1), JsonValue(0.1), JsonValue(" "),
                                JsonValue(Array{JsonValue()}), JsonValue(Object{{"", JsonValue()}})})
    EXPECT_TRUE(python_truth(full));
}

TEST(PythonText, Dictsort) {
  const Object object = {{"b", 1}, {"A", 2}, {"a", 3}, {"Ä", 4}, {"ä", 5},
                         {"_", 6}, {"Я", 7}, {"а", 8}, {"Z", 9}};
  std::string order;
  for (const auto* member : dictsort(object)) order += member->first + " ";
  EXPECT_EQ(order, "_ A a b Z Ä ä а Я ");
}

}  // namespace
}  // namespace carat
