// Rows and test items: packing, weights, answer spans, and the real encoder on lab text.
#include "lab/rows.h"

#include <gtest/gtest.h>

#include <set>

#include "lab/family.h"
#include "lab/plain_encoder.h"
#include "lab/suite.h"
#include "lab/tokenizer_training.h"

namespace carat::lab {
namespace {

const Tokenizer& tokenizer() {
  static const Tokenizer loaded = [] {
    gguf::Metadata metadata;
    train_tokenizer(sample_text(Language{}, 1, 3000), 512, metadata);
    return Tokenizer::load(metadata).take();
  }();
  return loaded;
}

TEST(Rows, TheEncoderAgreesWithTheTraining) {
  gguf::Metadata metadata;
  train_tokenizer(sample_text(Language{}, 1, 3000), 512, metadata);
  const PlainEncoder plain(metadata);
  const Language language;
  Random random(23);
  for (int i = 0; i < 200; ++i) {
    const Document document = language.draw(random);
    std::vector<Token> pieces;
    for (const Piece& piece : document.pieces)
      for (const Token token : tokenizer().encode(piece.text, {.add_bos = false})) pieces.push_back(token);
    const std::vector<Token> whole = tokenizer().encode(document.text(), {.add_bos = false});
    ASSERT_EQ(pieces, whole) << document.text();
    ASSERT_EQ(plain.encode(document.text()), whole) << document.text();
    ASSERT_EQ(tokenizer().decode(whole), document.text());
  }
}

TEST(Rows, AreFullBeginWithBosAndWeighAnswers) {
  const auto source = row_source(Language{}, tokenizer(), {.length = 100, .curriculum_end = 0});
  Random random(1);
  double n_answer = 0;
  std::set<std::vector<Token>> rows;
  for (int i = 0; i < 200; ++i) {
    const Row row = source(random, 0);
    ASSERT_EQ(row.tokens.size(), 101u);
    ASSERT_EQ(row.weights.size(), 100u);
    EXPECT_EQ(row.tokens[0], tokenizer().bos());
    rows.insert(row.tokens);
    for (const float weight : row.weights) {
      ASSERT_TRUE(weight == 1.0f || weight == 0.25f);
      n_answer += weight == 1.0f;
    }
  }
  EXPECT_EQ(rows.size(), 200u);
  EXPECT_GT(n_answer / 20000, 0.3);
  EXPECT_LT(n_answer / 20000, 0.45);
}

// In "sum: 12+7=19;" what follows "=" is an answer, up to and with ";".
TEST(Rows, WeightsStandWhereTheAnswerIsPredicted) {
  Language language;
  language.kind_weights = {0, 1, 0, 0, 0, 0, 0, 0};
  const Row row = [&] {
    Random random(2);
    return row_source(language, tokenizer(), {.length = 500})(random, 1);
  }();
  const Token equals = tokenizer().find("="), semicolon = tokenizer().find(";");
  bool in_answer = false;
  int n_answers = 0;
  for (size_t i = 0; i < row.weights.size(); ++i) {
    ASSERT_EQ(row.weights[i], in_answer ? 1.0f : 0.25f) << i;
    if (row.tokens[i + 1] == semicolon) in_answer = false;
    if (row.tokens[i + 1] == equals) ++n_answers, in_answer = true;
  }
  EXPECT_GT(n_answers, 30);
}

TEST(Rows, CurriculumLengthensRecords) {
  Language language;
  language.kind_weights = {0, 0, 1, 0, 0, 0, 0, 0};
  const auto source = row_source(language, tokenizer(), {.length = 128, .curriculum_end = 0.5});
  const Token comma = tokenizer().find(",");
  const auto n_commas = [&](double progress) {
    Random random(3);
    int64_t n = 0;
    for (int i = 0; i < 50; ++i) {
      const Row row = source(random, progress);
      n += std::count(row.tokens.begin(), row.tokens.end(), comma);
    }
    return n;
  };
  EXPECT_EQ(n_commas(0), 0);
  EXPECT_GT(n_commas(0.25), 100);
  EXPECT_GT(n_commas(0.5), n_commas(0.25));
  EXPECT_EQ(n_commas(0.5), n_commas(1));
}

TEST(Suite, ItemsAreDocumentsWithTheirAnswers) {
  const std::vector<Item> items = test_items(Language{}, tokenizer(), 5, 20);
  ASSERT_EQ(items.size(), 20 * kinds().size());
  for (size_t i = 0; i < items.size(); ++i) {
    const Item& item = items[i];
    EXPECT_EQ(item.category, kinds()[i / 20]);
    EXPECT_EQ(item.tokens[0], tokenizer().bos());
    EXPECT_EQ(tokenizer().decode({item.tokens.data() + item.first_scored - 1, 1}), ":");
    EXPECT_LE(item.tokens.size(), 128u);
    EXPECT_GT(item.entropy, 1);
    ASSERT_GE(item.answers.size(), 2u);
    int before = item.first_scored;
    for (const AnswerSpan& span : item.answers) {
      ASSERT_GT(span.begin, before);
      ASSERT_GT(span.end, span.begin + 1);
      ASSERT_LT(span.end, static_cast<int>(item.tokens.size()));
      const std::string closing = tokenizer().decode({item.tokens.data() + span.end - 1, 1});
      EXPECT_NE(std::string(".,;}").find(closing), std::string::npos) << closing;
      before = span.end;
    }
  }
}

TEST(Suite, SeedDecidesTheItems) {
  const auto one = test_items(Language{}, tokenizer(), 5, 20),
             same = test_items(Language{}, tokenizer(), 5, 20),
             other = test_items(Language{}, tokenizer(), 6, 20);
  int n_different = 0;
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(one[i].tokens, same[i].tokens);
    n_different += one[i].tokens != other[i].tokens;
  }
  EXPECT_GT(n_different, 150);
}

}  // namespace
}  // namespace carat::lab
