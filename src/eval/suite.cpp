// Counting and naming of suites.
#include "eval/suite.h"

#include <algorithm>
#include <string_view>

#include "base/random.h"

namespace carat {
namespace {

class Hash {
 public:
  void add(uint64_t value) { state_ = mix64(state_ ^ value); }
  void add(std::string_view text) {
    add(text.size());
    for (const char c : text) add(static_cast<unsigned char>(c));
  }
  uint64_t value() const { return state_; }

 private:
  uint64_t state_ = 0x6361726174;
};

}  // namespace

int64_t Suite::n_answers() const {
  int64_t n = 0;
  for (const SuiteItem& item : items) n += std::ranges::count(item.answers, true, &AnswerSpan::is_exact);
  return n;
}

int64_t Suite::n_scored_tokens() const {
  int64_t n = 0;
  for (const SuiteItem& item : items) n += item.n_scored();
  return n;
}

uint64_t Suite::hash() const {
  Hash hash;
  hash.add(items.size());
  for (const SuiteItem& item : items) {
    hash.add(item.category);
    hash.add(static_cast<uint64_t>(item.first_scored));
    hash.add(item.tokens.size());
    for (const Token token : item.tokens) hash.add(static_cast<uint64_t>(token));
    hash.add(item.answers.size());
    for (const AnswerSpan& span : item.answers) {
      hash.add(static_cast<uint64_t>(span.begin));
      hash.add(static_cast<uint64_t>(span.end));
      if (!span.is_exact) hash.add("likelihood");
    }
  }
  return hash.value();
}

}  // namespace carat
