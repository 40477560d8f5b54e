// The tables under vocabularies that were written to make an unkeyed hash collide, and with different
// secrets.
#include "model/symbols.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "base/random.h"
#include "model/bpe.h"

namespace carat {
namespace {

// Multiplicative inverse of an odd number, modulo 2^64.
constexpr uint64_t inverse(uint64_t odd) {
  uint64_t x = odd;
  for (int i = 0; i < 6; ++i) x *= 2 - odd * x;
  return x;
}

// The word that mix64 turns into `y`.
constexpr uint64_t unmix64(uint64_t y) {
  y ^= y >> 31 ^ y >> 62;
  y *= inverse(0x94d049bb133111ebu);
  y ^= y >> 27 ^ y >> 54;
  y *= inverse(0xbf58476d1ce4e5b9u);
  y ^= y >> 30 ^ y >> 60;
  return y - 0x9e3779b97f4a7c15u;
}
static_assert(mix64(unmix64(12345)) == 12345 && unmix64(mix64(99)) == 99);

// Eight bytes whose unkeyed hash, mix64(mix64(length ^ word)), ends in the same 32 bits for every `i`.
std::string colliding_text(uint64_t i) {
  const uint64_t word = unmix64(unmix64(i << 32 | 42)) ^ 8;
  std::string text(8, 0);
  std::memcpy(text.data(), &word, 8);
  return text;
}

TEST(SymbolTable, CraftedTextsDoNotCollide) {
  SymbolTable symbols;
  for (uint32_t i = 0; i < 20000; ++i) ASSERT_EQ(symbols.intern(colliding_text(i)), i);
  EXPECT_LT(symbols.longest_probe(), 200u);  // 20000, where they do
  for (uint32_t i = 0; i < 20000; ++i) ASSERT_EQ(symbols.find(colliding_text(i)), i);
}

TEST(MergeTable, CraftedPairsDoNotCollide) {
  constexpr size_t kNPairs = 2000;
  MergeTable merges(kNPairs);
  size_t n = 0;
  for (uint32_t left = 0; n < kNPairs; ++left)
    for (uint32_t right = 0; right < 4096 && n < kNPairs; ++right)
      if (mix64(uint64_t{left} << 32 | right) % 8192 == 0)
        merges.add(left, right, {static_cast<uint32_t>(n++), 0});
  EXPECT_LT(merges.longest_probe(), 100u);  // 2000, where they do
}

TEST(SymbolTable, NothingDependsOnTheSecret) {
  Random random(3);
  std::vector<std::pair<std::string, std::string>> pairs;
  std::vector<std::string> pieces = {"a", "b", "c"};
  for (int i = 0; i < 40; ++i) {
    const auto pick = [&] {
      return pieces[static_cast<size_t>(random.below(static_cast<int64_t>(pieces.size())))];
    };
    pairs.emplace_back(pick(), pick());
    pieces.push_back(pairs.back().first + pairs.back().second);
  }
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "abc"[random.below(3)];
  std::vector<std::string> merges;
  for (const auto& [left, right] : pairs) merges.push_back(left + " " + right);
  const std::vector<std::string_view> merge_texts(merges.begin(), merges.end());
  const auto encode = [&](uint64_t seed) {
    BytePairEncoder bpe(seed);
    for (const std::string& piece : pieces) bpe.symbols().intern(piece);
    EXPECT_TRUE(bpe.set_merges(merge_texts));
    std::vector<BpePiece> encoded;
    bpe.encode(text, encoded);
    std::vector<uint32_t> ids;
    for (const BpePiece& piece : encoded) ids.push_back(piece.id);
    return ids;
  };
  const std::vector<uint32_t> ids = encode(0);
  EXPECT_LT(ids.size(), text.size() * 3 / 4);
  for (const uint64_t seed : {uint64_t{1}, uint64_t{2}, ~uint64_t{0}, process_seed()})
    EXPECT_EQ(encode(seed), ids);
}

}  // namespace
}  // namespace carat
