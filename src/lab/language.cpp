// The table of document kinds, and drawing from it.
#include "lab/language.h"

#include <cmath>

#include "lab/documents.h"

namespace carat::lab {
namespace {

struct Kind {
  std::string_view name;
  std::string_view heading;
  double weight;  // of the default mix
  WriteDocument write;
};

// Records, links and stories get more than their share of interest because looking something up in the
// context is what small models learn last; facts because there are so many of them.
constexpr Kind kKinds[] = {
    {"story", "tale:", 0.14, write_story}, {"arith", "sum:", 0.15, write_sums},
    {"kv", "book:", 0.13, write_book},     {"chain", "link:", 0.10, write_links},
    {"list", "list:", 0.11, write_lists},  {"bracket", "pair:", 0.08, write_brackets},
    {"tool", "call:", 0.09, write_calls},  {"fact", "fact:", 0.20, write_facts},
};

Document write(const Language& language, const Kind& kind, Random& random) {
  Choices choices(random);
  Writer writer(kind.heading);
  kind.write(language, choices, writer);
  writer.text("\n");
  return {kind.name, writer.take(), choices.entropy()};
}

double weight(const Language& language, size_t kind) {
  return language.kind_weights.empty() ? kKinds[kind].weight : language.kind_weights[kind];
}

}  // namespace

std::string Document::text() const {
  std::string text;
  for (const Piece& piece : pieces) text += piece.text;
  return text;
}

const std::vector<std::string_view>& kinds() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> result;
    for (const Kind& kind : kKinds) result.push_back(kind.name);
    return result;
  }();
  return names;
}

int curriculum(const Language& language, int shortest, int longest) {
  const double difficulty = language.difficulty < 0 ? 0 : language.difficulty > 1 ? 1 : language.difficulty;
  return shortest + static_cast<int>(std::lround(difficulty * (longest - shortest)));
}

Document Language::draw(Random& random) const {
  CHECK(kind_weights.empty() || kind_weights.size() == kinds().size());
  double total = 0;
  for (size_t i = 0; i < kinds().size(); ++i) total += weight(*this, i);
  CHECK(total > 0);
  double rest = random.uniform() * total;
  size_t chosen = 0;
  for (size_t i = 0; i < kinds().size() && rest >= 0; ++i) {
    if (!(weight(*this, i) > 0)) continue;
    chosen = i;
    rest -= weight(*this, i);
  }
  Document document = write(*this, kKinds[chosen], random);
  document.entropy -= std::log(weight(*this, chosen) / total);
  return document;
}

Document Language::draw(std::string_view kind, Random& random) const {
  for (const Kind& candidate : kKinds)
    if (candidate.name == kind) return write(*this, candidate, random);
  CHECK(!"an unknown kind of document");
  return {};
}

}  // namespace carat::lab
