// The entropy of the lab's documents is exact, and their answers are right.
#include "lab/language.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "lab/solver.h"

namespace carat::lab {
namespace {

Language tiny(int n_words, int n_letters) {
  Language language;
  language.difficulty = 0;
  language.n_words = n_words;
  language.n_letters = n_letters;
  language.n_items = 1;
  language.n_entities = 121;
  return language;
}

struct Seen {
  int64_t count = 0;
  double entropy = 0;
};

// Draws until each possible document has come up. Their probabilities must then sum to 1 (a choice that is
// charged but not visible, or not charged, breaks the sum), and each must come up as often as it says.
template <class Draw>
void expect_exact_entropy(std::string_view what, int n_draws, const Draw& draw) {
  SCOPED_TRACE(what);
  Random random(7);
  std::map<std::string, Seen> seen;
  for (int i = 0; i < n_draws; ++i) {
    const Document document = draw(random);
    Seen& entry = seen[document.text()];
    if (entry.count++ == 0) entry.entropy = document.entropy;
    ASSERT_DOUBLE_EQ(entry.entropy, document.entropy) << document.text();
  }
  double total = 0, chi_square = 0;
  for (const auto& [text, entry] : seen) {
    const double expected = n_draws * std::exp(-entry.entropy);
    total += std::exp(-entry.entropy);
    chi_square += (static_cast<double>(entry.count) - expected) *
                  (static_cast<double>(entry.count) - expected) / expected;
  }
  EXPECT_NEAR(total, 1, 1e-9);
  const double freedom = static_cast<double>(seen.size()) - 1;
  EXPECT_NEAR(chi_square, freedom, 5 * std::sqrt(2 * freedom));
}

void expect_exact_entropy(std::string_view kind, const Language& language, int n_draws) {
  expect_exact_entropy(kind, n_draws, [&](Random& random) { return language.draw(kind, random); });
}

TEST(Language, EntropyIsMinusTheLogProbabilityOfTheText) {
  expect_exact_entropy("story", tiny(3, 1), 60000);
  expect_exact_entropy("arith", tiny(1, 1), 40000);
  expect_exact_entropy("kv", tiny(3, 2), 20000);
  expect_exact_entropy("chain", tiny(3, 3), 20000);
  expect_exact_entropy("list", tiny(1, 4), 20000);
  expect_exact_entropy("bracket", tiny(1, 1), 100000);
  expect_exact_entropy("fact", tiny(4, 4), 400000);
}

TEST(Language, EntropyCountsWhatDependsOnEarlierChoices) {
  Language language = tiny(2, 2);
  language.difficulty = 1;  // two people, two pairs, …
  expect_exact_entropy("story", language, 100000);
  expect_exact_entropy("chain", language, 20000);
  Language two_names = tiny(2, 1);
  two_names.difficulty = 1;
  expect_exact_entropy("kv", two_names, 20000);
  language.n_items = 2;
  language.difficulty = 0;
  expect_exact_entropy("story", language, 100000);
}

// Requests hold numbers of two digits: too many to see all of them, so one word of each class and one
// request.
TEST(Language, EntropyOfCallsIsExact) {
  Language language = tiny(2, 1);
  Random random(3);
  std::map<std::string, Seen> seen;
  const int n_draws = 200000;
  double without_numbers = 0, n_with_numbers = 0;
  for (int i = 0; i < n_draws; ++i) {
    const Document document = language.draw("tool", random);
    const std::string text = document.text();
    if (text.find_first_of("0123456789") != std::string::npos) {
      ++n_with_numbers;
      continue;
    }
    Seen& entry = seen[text];
    if (entry.count++ == 0) without_numbers += std::exp(-document.entropy);
    entry.entropy = document.entropy;
  }
  // Two tools of six have a number in their second clause, which is there three times in four.
  EXPECT_NEAR(without_numbers, 1 - 2.0 / 6 * 3 / 4, 1e-9);
  EXPECT_NEAR(n_with_numbers / n_draws, 0.25, 5 * std::sqrt(0.25 * 0.75 / n_draws));
  for (const auto& [text, entry] : seen) {
    const double p = std::exp(-entry.entropy);
    EXPECT_NEAR(static_cast<double>(entry.count) / n_draws, p, 5.5 * std::sqrt(p / n_draws)) << text;
  }
}

TEST(Language, EntropyCountsTheKind) {
  Language language = tiny(2, 3);
  language.kind_weights = {0, 0, 3, 0, 1, 0, 0, 0};  // kv, list
  expect_exact_entropy("mix", 20000, [&](Random& random) { return language.draw(random); });
}

TEST(Language, DefaultMixDrawsEveryKindAsOftenAsItsEntropySays) {
  const Language language;
  Random random(5);
  std::map<std::string_view, int> counts;
  for (int i = 0; i < 4000; ++i) ++counts[language.draw(random).kind];
  ASSERT_EQ(counts.size(), kinds().size());
  for (const std::string_view kind : kinds()) {
    Random one(1), other(1);
    Language single = language;
    single.kind_weights.assign(kinds().size(), 0);
    single.kind_weights[static_cast<size_t>(std::find(kinds().begin(), kinds().end(), kind) -
                                            kinds().begin())] = 2;
    one.uniform();  // the choice of the kind
    EXPECT_DOUBLE_EQ(single.draw(other).entropy, single.draw(kind, one).entropy) << kind;
  }
}

TEST(Language, EveryAnswerFollowsFromTheText) {
  for (const double difficulty : {0.0, 0.5, 1.0}) {
    Language language;
    language.difficulty = difficulty;
    Random random(11);
    for (const std::string_view kind : kinds()) {
      if (kind == "fact") continue;
      for (int i = 0; i < 400; ++i) {
        const Document document = language.draw(kind, random);
        ASSERT_FALSE(document.pieces.front().is_answer);
        std::string before;
        int n_answers = 0;
        for (size_t j = 1; j < document.pieces.size(); ++j) {
          const Piece& piece = document.pieces[j];
          if (piece.is_answer) {
            ASSERT_EQ(piece.text, solve(kind, before)) << document.text();
            ++n_answers;
          }
          before += piece.text;
        }
        EXPECT_GE(n_answers, 2) << document.text();
        EXPECT_EQ(before.back(), '\n');
      }
    }
  }
}

// "tim k fox pet cat, home den, has hat;": what a person has is the same in every document of one world.
TEST(Language, FactsAreOneWorld) {
  Language language;
  std::map<std::string, std::string> facts;
  std::map<std::string, int> names;
  Random random(13);
  int n_repeated = 0;
  for (int i = 0; i < 20000; ++i) {
    const Document document = language.draw("fact", random);
    std::string name;
    for (size_t j = 1; j < document.pieces.size(); ++j) {
      const Piece& piece = document.pieces[j];
      const std::vector<std::string> w = split(piece.text, "\n");
      if (piece.is_answer) {
        const auto [entry, is_new] =
            facts.emplace(name + split(document.pieces[j - 1].text, "").back(), piece.text);
        ASSERT_EQ(entry->second.substr(0, 4), piece.text.substr(0, 4));
        n_repeated += !is_new;
      } else if (w.size() == 4) {
        name = w[0] + w[1] + w[2];
        ++names[name];
      }
    }
  }
  EXPECT_GT(n_repeated, 100000);
  EXPECT_GT(names.size(), 7000u);
  EXPECT_LE(names.size(), 7260u);
  // The innermost circle (60 people) is a fifth of all mentions.
  std::vector<int> counts;
  for (const auto& [name_of, count] : names) counts.push_back(count);
  std::sort(counts.rbegin(), counts.rend());
  int inner = 0;
  for (size_t i = 0; i < 60; ++i) inner += counts[i];
  EXPECT_NEAR(inner / 80000.0, 0.2, 0.01);

  Language other = language;
  other.world_seed = 2;
  int n_equal = 0, n_known = 0;
  for (int i = 0; i < 2000; ++i) {
    const Document document = other.draw("fact", random);
    const std::vector<std::string> w = split(document.pieces[1].text, "");
    const auto known = facts.find(w[0] + w[1] + w[2] + w[3]);
    if (known == facts.end()) continue;
    ++n_known;
    n_equal += known->second.substr(0, 4) == document.pieces[2].text.substr(0, 4);
  }
  EXPECT_GT(n_known, 500);
  EXPECT_NEAR(static_cast<double>(n_equal) / n_known, 1.0 / 16, 0.04);
}

TEST(Language, SeedDecidesEverything) {
  const Language language;
  Random one(42), same(42), other(43);
  int n_different = 0;
  for (int i = 0; i < 100; ++i) {
    const Document document = language.draw(one), again = language.draw(same);
    EXPECT_EQ(document.text(), again.text());
    EXPECT_EQ(document.entropy, again.entropy);
    n_different += document.text() != language.draw(other).text();
  }
  EXPECT_GT(n_different, 90);
}

TEST(Language, DifficultyMakesDocumentsLonger) {
  for (const std::string_view kind : kinds()) {
    if (kind == "tool" || kind == "fact") continue;
    double length[2] = {}, entropy[2] = {};
    for (const int hard : {0, 1}) {
      Language language;
      language.difficulty = hard;
      Random random(3);
      for (int i = 0; i < 300; ++i) {
        const Document document = language.draw(kind, random);
        length[hard] += static_cast<double>(document.text().size());
        entropy[hard] += document.entropy;
      }
    }
    EXPECT_GT(length[1], 1.1 * length[0]) << kind;
    EXPECT_GT(entropy[1], 1.1 * entropy[0]) << kind;
  }
}

}  // namespace
}  // namespace carat::lab
