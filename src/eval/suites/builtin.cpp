// Rounds of the built-in suite.
#include "eval/suites/builtin.h"

#include <fmt/format.h>

#include <algorithm>

#include "eval/suites/long_document.h"

namespace carat {
namespace {

using suites::Category;
using suites::Draw;
using suites::Task;

// What the generators of this version write: another text under the same name would be another suite.
constexpr int kVersion = 1;
constexpr int64_t kRoundsPerDocument = 3, kRoundsPerProse = 3;
constexpr int kLengths = 4;  // of documents: each half as long as the next

std::vector<Category> all_categories() {
  std::vector<Category> all{suites::chat(),  suites::code(),    suites::maths(),
                            suites::tools(), suites::science(), suites::recall()};
  for (Category& language : suites::languages()) all.push_back(std::move(language));
  return all;
}

std::string text_of(const Question& question) {
  std::string text;
  for (const ChatTurn& turn : question.turns) text += std::get<std::string>(turn.content) + "\n";
  return text;
}

Question prose_question(const suites::Prose& prose) {
  Question q;
  q.turns = {{ChatTurn::Role::user, std::string(prose.question)}};
  q.lines = {std::string(prose.answer)};
  q.is_exact = false;
  return q;
}

// The example shows how answers are to be written, so that a right one is not lost by its form.
Question behind_example(const Task& example, const Task& task) {
  using Role = ChatTurn::Role;
  Question q;
  q.turns = {{Role::user, example.question},
             {Role::model, suites::joined(example.lines, "\n")},
             {Role::user, task.question}};
  q.lines = task.lines;
  return q;
}

}  // namespace

BuiltinSource::BuiltinSource(const BuiltinOptions& options, const Tokenizer& tokenizer, const Config& config)
    : options_(options), tokenizer_(tokenizer), config_(config) {
  for (Category& category : all_categories()) states_.push_back({std::move(category)});
}

Result<std::unique_ptr<BuiltinSource>> BuiltinSource::create(const BuiltinOptions& options,
                                                             const Tokenizer& tokenizer,
                                                             const Config& config) {
  BuiltinOptions checked = options;
  checked.longest = std::min(options.longest, config.context_length);
  if (checked.longest > 0 && checked.longest >> (kLengths - 1) < suites::kShortestDocument)
    return fail(
        "built-in suite: its longest documents have {} tokens (at most the model's context); expected at "
        "least {}, or 0 for none",
        checked.longest, suites::kShortestDocument << (kLengths - 1));
  return std::unique_ptr<BuiltinSource>(new BuiltinSource(checked, tokenizer, config));
}

std::string BuiltinSource::name() const {
  return fmt::format("built-in suite {}, seed {}, {}", kVersion, options_.seed,
                     options_.longest > 0 ? fmt::format("documents of up to {} tokens", options_.longest)
                                          : "no long documents");
}

// Kinds with an example, then dialogues. Nothing if this question was asked before.
std::optional<Question> BuiltinSource::try_question(State& state, size_t kind, Draw& draw) {
  const size_t n_tasks = state.category.tasks.size();
  if (kind >= n_tasks) {
    Question question = state.category.questions[kind - n_tasks](draw);
    if (!state.seen.insert(text_of(question)).second) return std::nullopt;
    return question;
  }
  const suites::WriteTask write = state.category.tasks[kind];
  const Task task = write(draw);
  if (!state.seen.insert(task.question).second) return std::nullopt;
  Task example = write(draw);
  while (example.question == task.question || example.lines == task.lines) example = write(draw);
  return behind_example(example, task);
}

Question BuiltinSource::next_question(State& state, uint64_t stream) {
  const int64_t i = state.n_asked++;
  if (i % kRoundsPerProse == kRoundsPerProse - 1 && state.n_prose < state.category.prose.size())
    return prose_question(state.category.prose[state.n_prose++]);
  // A kind that has run out of questions gives its turn to the next.
  const size_t n_kinds = state.category.tasks.size() + state.category.questions.size();
  Draw draw(mix64(mix64(options_.seed ^ mix64(stream)) + static_cast<uint64_t>(i)));
  constexpr size_t kTries = 8;
  for (size_t attempt = 0;; ++attempt) {
    CHECK(attempt < kTries * n_kinds * 4);
    if (auto question = try_question(state, (static_cast<size_t>(i) + attempt / kTries) % n_kinds, draw))
      return *std::move(question);
  }
}

Result<std::vector<BuiltinSource::Asked>> BuiltinSource::next_round() {
  std::vector<Asked> round;
  for (size_t c = 0; c < states_.size(); ++c)
    round.push_back({std::string(states_[c].category.name), next_question(states_[c], c)});
  if (options_.longest > 0 && n_rounds_ % kRoundsPerDocument == 0) {
    Draw draw(mix64(mix64(options_.seed ^ mix64(states_.size())) + static_cast<uint64_t>(n_documents_)));
    // The kinds change faster than the lengths, so that every kind has every length.
    const int64_t n_tokens = options_.longest >> (kLengths - 1 - n_documents_ % kLengths);
    round.push_back({"long", TRY(suites::long_document(draw, n_documents_, n_tokens, tokenizer_))});
    ++n_documents_;
  }
  ++n_rounds_;
  return round;
}

Result<std::vector<SuiteItem>> BuiltinSource::more(int64_t n) {
  std::vector<SuiteItem> items;
  while (static_cast<int64_t>(items.size()) < n)
    for (const Asked& asked : TRY(next_round())) {
      SuiteItem item = TRY(encode_question(asked.question, asked.category, tokenizer_, config_));
      if (static_cast<int64_t>(item.tokens.size()) > config_.context_length)
        return fail(
            "built-in suite: a question of the category '{}' has {} tokens, the model's context is {}",
            asked.category, item.tokens.size(), config_.context_length);
      items.push_back(std::move(item));
    }
  return items;
}

Result<Suite> builtin_suite(const BuiltinOptions& options, int64_t n_rounds, const Tokenizer& tokenizer,
                            const Config& config) {
  const auto source = TRY(BuiltinSource::create(options, tokenizer, config));
  Suite suite;
  suite.name = fmt::format("{}, {} rounds", source->name(), n_rounds);
  for (int64_t round = 0; round < n_rounds; ++round)
    for (SuiteItem& item : TRY(source->more(1))) suite.items.push_back(std::move(item));
  return suite;
}

}  // namespace carat
