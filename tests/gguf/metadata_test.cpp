// Typed access to metadata and the order of its keys.
#include "gguf/metadata.h"

#include <gtest/gtest.h>

namespace carat::gguf {
namespace {

Metadata sample() {
  Metadata metadata;
  metadata.set("u8", uint8_t{7});
  metadata.set("i32", int32_t{-3});
  metadata.set("u64", UINT64_MAX);
  metadata.set("f32", 0.5f);
  metadata.set("bool", true);
  metadata.set("text", std::string("gemma4"));
  metadata.set("ints", Array(std::vector<uint16_t>{1, 2, 3}));
  metadata.set("bools", Array(std::vector<bool>{true, false}));
  const std::vector<std::string> words = {"a", "", "bc"};
  metadata.set_texts("texts", words);
  return metadata;
}

TEST(Metadata, TypesKeepTheirIds) {
  EXPECT_EQ(type_of(Value(uint8_t{1})), ValueType::U8);
  EXPECT_EQ(type_of(Value(std::string("x"))), ValueType::String);
  EXPECT_EQ(type_of(Value(Array())), ValueType::Array);
  EXPECT_EQ(type_of(Value(1.0)), ValueType::F64);
  EXPECT_EQ(element_type_of(Array(std::vector<std::string_view>())), ValueType::String);
  EXPECT_EQ(element_type_of(Array(std::vector<uint64_t>())), ValueType::U64);
  EXPECT_EQ(element_type_of(Array(std::vector<double>())), ValueType::F64);
  EXPECT_EQ(name_of(ValueType::I64), "i64");
}

TEST(Metadata, AnyIntegerTypeServesAnInteger) {
  const Metadata metadata = sample();
  EXPECT_EQ(*metadata.integer("u8", 0, 100), 7);
  EXPECT_EQ(*metadata.integer("i32", -10, 10), -3);
  EXPECT_EQ(metadata.integer("i32", 0, 10).error().message, "key 'i32': -3 is outside 0..10");
  EXPECT_EQ(metadata.integer("u64", 0, 10).error().message,
            "key 'u64': 18446744073709551615 is outside 0..10");
  EXPECT_EQ(metadata.integer("f32", 0, 10).error().message, "key 'f32': expected an integer, found f32");
  EXPECT_EQ(metadata.integer("none", 0, 10).error().message, "key 'none' is missing");
  EXPECT_EQ(*metadata.integer_or("none", 0, 10, 4), 4);
  EXPECT_FALSE(metadata.integer_or("text", 0, 10, 4));
}

TEST(Metadata, NumbersBoolsAndTexts) {
  const Metadata metadata = sample();
  EXPECT_EQ(*metadata.number("f32"), 0.5);
  EXPECT_EQ(*metadata.number("u8"), 7.0);
  EXPECT_EQ(*metadata.number_or("none", 1.5), 1.5);
  EXPECT_EQ(*metadata.number("u64"), 18446744073709551616.0);
  EXPECT_FALSE(metadata.number("bool"));
  EXPECT_TRUE(*metadata.boolean_or("bool", false));
  EXPECT_TRUE(*metadata.boolean_or("none", true));
  EXPECT_FALSE(metadata.boolean_or("u8", true));
  EXPECT_EQ(*metadata.text("text"), "gemma4");
  EXPECT_EQ(metadata.text("ints").error().message, "key 'ints': expected a string, found array of 3 u16");
  const auto texts = metadata.texts("texts");
  ASSERT_TRUE(texts);
  EXPECT_EQ(std::vector<std::string_view>(texts->begin(), texts->end()),
            (std::vector<std::string_view>{"a", "", "bc"}));
  EXPECT_FALSE(metadata.texts("text"));
}

TEST(Metadata, IntegersFromArraysAndScalars) {
  const Metadata metadata = sample();
  EXPECT_EQ(*metadata.integers("ints", 9), (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(*metadata.integers("bools", 9), (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(*metadata.integers("i32", 2), (std::vector<int64_t>{-3, -3}));
  EXPECT_EQ(*metadata.integers("bool", 2), (std::vector<int64_t>{1, 1}));
  EXPECT_FALSE(metadata.integers("texts", 2));
  EXPECT_FALSE(metadata.integers("f32", 2));
  EXPECT_FALSE(metadata.integers("u64", 2));
  EXPECT_EQ(metadata.integers("ints", 3, 3)->size(), 3u);
  EXPECT_EQ(metadata.integers("ints", 3, 2).error().message, "key 'ints': 3 elements, at most 2 allowed");
}

TEST(Metadata, LongArraysAreNotWidened) {
  Metadata metadata;
  metadata.set("long", Array(std::vector<uint8_t>(Metadata::kMaxIntegers + 1)));
  EXPECT_EQ(metadata.integers("long", 1).error().message,
            "key 'long': 4194305 elements, at most 4194304 allowed");
}

TEST(Metadata, AKeyMayComeFromItsOwnEntry) {
  Metadata metadata;
  const std::string name(100, 'k');  // too long to be kept inside the string object
  metadata.set(name, 1u);
  metadata.set("last", 2u);
  metadata.set(metadata.entries()[0].key, 3u);
  ASSERT_EQ(metadata.entries().size(), 2u);
  EXPECT_EQ(metadata.entries()[1].key, name);
  EXPECT_EQ(*metadata.integer(name, 0, 9), 3);
}

TEST(Metadata, KeepsEveryStorageAlive) {
  auto first = std::make_shared<int>(1), second = std::make_shared<int>(2);
  const std::weak_ptr<int> watched_first = first, watched_second = second;
  {
    Metadata copy;
    {
      Metadata metadata;
      metadata.keep_alive(std::move(first));
      metadata.keep_alive(std::move(second));
      copy = metadata;
    }
    EXPECT_FALSE(watched_first.expired() || watched_second.expired());
  }
  EXPECT_TRUE(watched_first.expired() && watched_second.expired());
}

TEST(Metadata, SettingAnExistingKeyMovesItToTheEnd) {
  Metadata metadata;
  metadata.set("a", 1u);
  metadata.set("b", 2u);
  metadata.set("c", 3u);
  metadata.set("a", 4u);
  metadata.remove("c");
  metadata.remove("never there");
  ASSERT_EQ(metadata.entries().size(), 2u);
  EXPECT_EQ(metadata.entries()[0].key, "b");
  EXPECT_EQ(metadata.entries()[1].key, "a");
  EXPECT_EQ(*metadata.integer("a", 0, 9), 4);
  EXPECT_EQ(*metadata.integer("b", 0, 9), 2);
  EXPECT_FALSE(metadata.contains("c"));
}

TEST(Metadata, ACopyOutlivesTheOriginal) {
  Metadata copy;
  {
    const Metadata original = sample();
    copy = original;
  }
  EXPECT_EQ((*copy.texts("texts"))[2], "bc");
}

}  // namespace
}  // namespace carat::gguf
