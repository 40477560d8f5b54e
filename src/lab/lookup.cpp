// Looking things up in the context. A book lists names of two words and their values; then names come back
// and their values follow, of which some are changed in between. In links a letter may stand for another
// letter: the answer walks until it finds a word, or, after "end", is that word at once.
//
//   book: cat a red, dog b hot, cat b sad. cat b sad; now cat a wet; cat a wet; dog b hot;
//   link: a red, b a, c b, d hot. c b a red; end b red; d hot;
//
// A name stands right before its value each time, the simplest form in which a network can learn to look up.
// Names share their words, so half a name is not enough; and a hop that is not written down takes layers of
// its own.
#include <fmt/format.h>

#include <algorithm>

#include "lab/documents.h"

namespace carat::lab {

void write_book(const Language& language, Choices& choices, Writer& writer) {
  std::vector<std::string> names;
  for (const std::string_view animal : words(WordClass::animal, std::min(6, language.n_words)))
    for (const std::string_view letter : letters(std::min(6, language.n_letters)))
      names.push_back(fmt::format("{} {}", animal, letter));
  const std::vector<std::string_view> values = words(WordClass::look, language.n_words);
  struct Entry {
    std::string name;
    std::string_view value;
  };
  std::vector<Entry> book;
  const int n_entries =
      choices.between(1, std::min(curriculum(language, 1, 12), static_cast<int>(names.size())));
  for (int i = 0; i < n_entries; ++i) {
    const std::string name = choices.take(names);
    book.push_back({name, choices.pick(values)});
    writer.text(fmt::format(" {} {}{}", name, book.back().value, i + 1 < n_entries ? ',' : '.'));
  }
  for (int i = 0; i < n_items(language, 5); ++i) {
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
    const bool only_end = choices.chance(1, 2);
    writer.text(fmt::format("{} {}", only_end ? " end" : "", link.name));
    writer.answer(fmt::format("{};", only_end ? link.way.substr(link.way.rfind(' ')) : link.way));
  }
}

}  // namespace carat::lab
