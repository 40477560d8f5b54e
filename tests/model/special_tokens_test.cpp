// Special tokens against a plain search, token by token, and in the worst of vocabularies.
#include "model/special_tokens.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <set>
#include <string>

#include "base/random.h"

namespace carat {
namespace {

using Entry = SpecialTokens::Entry;
using Match = SpecialTokens::Match;

// The definition: each token in its turn takes every place that is still free, from left to right.
std::vector<Match> plain_search(std::vector<Entry> entries, std::string_view text, bool parse_special) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.text.size() != b.text.size() ? a.text.size() > b.text.size() : a.token < b.token;
  });
  std::vector<bool> taken(text.size());
  std::vector<Match> matches;
  for (const Entry& entry : entries) {
    if (!entry.always && !parse_special) continue;
    for (size_t at = 0; at + entry.text.size() <= text.size(); ++at) {
      const auto begin = taken.begin() + static_cast<ptrdiff_t>(at);
      const auto end = begin + static_cast<ptrdiff_t>(entry.text.size());
      if (text.substr(at, entry.text.size()) != entry.text || std::find(begin, end, true) != end) continue;
      std::fill(begin, end, true);
      matches.push_back({at, entry.text.size(), entry.token});
    }
  }
  std::sort(matches.begin(), matches.end(), [](const Match& a, const Match& b) { return a.begin < b.begin; });
  return matches;
}

std::string describe(const std::vector<Match>& matches) {
  std::string line;
  for (const Match& m : matches)
    line += std::to_string(m.begin) + "+" + std::to_string(m.length) + "=" + std::to_string(m.token) + " ";
  return line;
}

TEST(SpecialTokens, EqualsAPlainSearchOnRandomVocabulariesAndTexts) {
  Random random(11);
  const auto random_text = [&](int64_t length) {
    std::string text;
    for (int64_t i = 0; i < length; ++i) text += "abc\xff"[random.below(random.below(8) == 0 ? 4 : 2)];
    return text;
  };
  size_t n_matches = 0;
  for (int round = 0; round < 300; ++round) {
    std::set<std::string> texts;
    const int64_t n = random.below(12);
    for (int64_t i = 0; i < n; ++i) texts.insert(random_text(1 + random.below(7)));
    std::vector<Entry> entries;
    for (const std::string& text : texts)
      entries.push_back({text, static_cast<int32_t>(entries.size()), random.below(2) == 0});
    random.shuffle(entries);
    const SpecialTokens specials(entries);
    for (int i = 0; i < 20; ++i) {
      const std::string text = random_text(random.below(40));
      for (const bool parse_special : {false, true}) {
        const auto found = specials.find(text, parse_special);
        ASSERT_EQ(describe(found), describe(plain_search(entries, text, parse_special))) << text;
        n_matches += found.size();
      }
    }
  }
  EXPECT_GT(n_matches, 10000u);
}

// Every prefix of the longest token is a token, and all match everywhere: a search that lists all of them has hundreds
// of millions of candidates.
TEST(SpecialTokens, NestedTokensInALongText) {
  const std::string longest(SpecialTokens::kMaxLength, 'a');
  std::vector<Entry> entries;
  for (size_t n = 1; n <= longest.size(); ++n)
    entries.push_back({std::string_view(longest).substr(0, n), static_cast<int32_t>(n), true});
  const std::string text(1000003, 'a');
  const auto matches = SpecialTokens(entries).find(text, false);
  size_t end = 0;
  for (const Match& match : matches) {
    ASSERT_EQ(match.begin, end);
    end += match.length;
  }
  EXPECT_EQ(end, text.size());
  EXPECT_EQ(matches.size(), 1000003u / 256 + 1);
}

}  // namespace
}  // namespace carat
