// The built-in suite: chat, code, maths, tool calls, science, six non-Latin languages, exact recall and long
// documents. Questions are made by a seeded generator whose answers are computed, so there are as many as a
// judgement needs, and no model has read them; beside them stand a few answers in prose, written for this
// suite, of which only the likelihood is judged. All stand in the chat template, without thinking.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "eval/item_source.h"
#include "eval/suites/category.h"
#include "model/config.h"

namespace carat {

struct BuiltinOptions {
  uint64_t seed = 1;
  // Tokens of the longest documents: they have this length, a half, a quarter and an eighth of it in turn. 0:
  // no documents. Not beyond the model's context.
  int64_t longest = 16384;
};

class BuiltinSource : public ItemSource {
 public:
  // Items are made for the tokenizer and the template of one model; both are copied. Errors: a context too
  // short for the questions.
  static Result<std::unique_ptr<BuiltinSource>> create(const BuiltinOptions& options,
                                                       const Tokenizer& tokenizer, const Config& config);

  std::string name() const override;
  // Rounds: one item of each category; documents come in every third round.
  Result<std::vector<SuiteItem>> more(int64_t n) override;
  int64_t n_left() const override { return kEndless; }

  // The same before it is tokenized.
  struct Asked {
    std::string category;
    Question question;
  };
  Result<std::vector<Asked>> next_round();

 private:
  struct State {
    suites::Category category;
    int64_t n_asked = 0;
    size_t n_prose = 0;
    std::set<std::string> seen;  // what was asked: nothing is asked twice
  };

  BuiltinSource(const BuiltinOptions& options, const Tokenizer& tokenizer, const Config& config);
  Question next_question(State& state, uint64_t stream);
  std::optional<Question> try_question(State& state, size_t kind, suites::Draw& draw);

  BuiltinOptions options_;
  Tokenizer tokenizer_;
  Config config_;
  std::vector<State> states_;
  int64_t n_rounds_ = 0, n_documents_ = 0;
};

// The first n_rounds of it as a suite.
Result<Suite> builtin_suite(const BuiltinOptions& options, int64_t n_rounds, const Tokenizer& tokenizer,
                            const Config& config);

}  // namespace carat
