// Looking things up in the context. A book lists pairs, and then names come back and their values follow, of
// which some are changed in between; in links a letter may stand for another letter, and the answer walks
// until it finds a word.
//
//   book: cat red, dog hot, pig sad. dog hot; now cat wet; cat wet; dog hot;
//   link: a red, b a, c b, d hot. c b a red; d hot;
//
// A name stands right before its value each time, the simplest form in which a network can learn to look up.
#include <fmt/format.h>

#include <algorithm>

#include "lab/documents.h"

namespace carat::lab {

void write_book(const Language& language, Choices& choices, Writer& writer) {
  std::vector<std::string_view> names = words(WordClass::animal, language.n_words);
  const std::vector<std::string_view> values = words(WordClass::look, language.n_words);
  struct Entry {
    std::string_view name, value;
  };
  std::vector<Entry> book;
  const int n_entries = choices.between(1, std::min(curriculum(language, 1, 12), language.n_words));
  for (int i = 0; i < n_entries; ++i) {
    const std::string_view name = choices.take(names);
    book.push_back({name, choices.pick(values)});
    writer.text(fmt::format(" {} {}{}", name, book.back().value, i + 1 < n_entries ? ',' : '.'));
  }
  for (int i = 0; i < n_items(language, 6); ++i) {
    if (values.size() > 1 && choices.chance(1, 3)) {
      Entry& changed = book[static_cast<size_t>(choices.below(n_entries))];
      std::vector<std::string_view> others = values;
      std::erase(others, changed.value);
      changed.value = choices.pick(others);
      writer.text(fmt::format(" now {} {};", changed.name, changed.value));
    }
    const Entry& entry = choices.pick(book);
    writer.text(fmt::format(" {}", entry.name)).answer(fmt::format(" {};", entry.value));
  }
}

namespace {

struct Link {
  std::string_view name;
  std::string way;  // what is read from here on: letters, then the word
  int n_hops;
};

// Stands for a word, or for a letter defined before whose way is not yet full length.
Link define(std::string_view name, const std::vector<Link>& links,
            const std::vector<std::string_view>& values, Choices& choices) {
  static constexpr int kMostHops = 4;
  std::vector<const Link*> targets;
  for (const Link& link : links)
    if (link.n_hops < kMostHops) targets.push_back(&link);
  if (!targets.empty() && choices.chance(2, 3)) {
    const Link& target = *choices.pick(targets);
    return {name, fmt::format(" {}{}", target.name, target.way), target.n_hops + 1};
  }
  return {name, fmt::format(" {}", choices.pick(values)), 1};
}

}  // namespace

void write_links(const Language& language, Choices& choices, Writer& writer) {
  std::vector<std::string_view> names = letters(language.n_letters);
  const std::vector<std::string_view> values = words(WordClass::look, language.n_words);
  std::vector<Link> links;
  const int n_links = choices.between(1, std::min(curriculum(language, 1, 10), language.n_letters));
  for (int i = 0; i < n_links; ++i) {
    const std::string_view name = choices.take(names);
    links.push_back(define(name, links, values, choices));
    const std::string& way = links.back().way;
    writer.text(fmt::format(" {}{}{}", name, way.substr(0, way.find(' ', 1)), i + 1 < n_links ? ',' : '.'));
  }
  for (int i = 0; i < n_items(language, 5); ++i) {
    const Link& link = choices.pick(links);
    writer.text(fmt::format(" {}", link.name)).answer(fmt::format("{};", link.way));
  }
}

}  // namespace carat::lab
