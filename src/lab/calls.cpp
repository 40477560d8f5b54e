// Tool calls: a request in words becomes a call in JSON with the words copied into its slots. The two clauses
// of a request come in either order, and a speaker may correct himself up to twice ("mug no hat": the hat is
// meant).
//
//   call: get hat from den: {"get":"hat","from":"den"} to 370 set mug no fan: {"set":"fan","to":370}
//
// The words of the JSON have no space before them: copying is spelling them with other tokens.
#include <fmt/format.h>

#include <array>

#include "lab/documents.h"

namespace carat::lab {
namespace {

enum class Slot { person, thing, place, number };

struct Clause {
  std::string_view word;
  Slot slot;
};

struct Tool {
  Clause action, detail;
};

constexpr std::array<Tool, 6> kTools = {{
    {{"get", Slot::thing}, {"from", Slot::place}},
    {{"put", Slot::thing}, {"at", Slot::place}},
    {{"send", Slot::thing}, {"to", Slot::person}},
    {{"ask", Slot::person}, {"for", Slot::thing}},
    {{"set", Slot::thing}, {"to", Slot::number}},
    {{"call", Slot::person}, {"at", Slot::number}},
}};

std::vector<std::string> fillers(Slot slot, const Language& language) {
  std::vector<std::string> result;
  if (slot == Slot::number) {
    for (int number = 100; number < 1000; ++number) result.push_back(fmt::format("{}", number));
    return result;
  }
  const WordClass word_class = slot == Slot::person  ? WordClass::person
                               : slot == Slot::thing ? WordClass::thing
                                                     : WordClass::place;
  for (const std::string_view word : words(word_class, language.n_words)) result.emplace_back(word);
  return result;
}

struct Filled {
  std::string said;  // with its leading space
  std::string json;
};

Filled fill(const Clause& clause, const Language& language, Choices& choices) {
  std::vector<std::string> options = fillers(clause.slot, language);
  std::string said = fmt::format(" {}", clause.word);
  for (int i = 0; i < 2 && options.size() > 1 && choices.chance(1, 3); ++i)
    said += fmt::format(" {} no", choices.take(options));
  const std::string& meant = choices.pick(options);
  const std::string_view quote = clause.slot == Slot::number ? "" : "\"";
  return {fmt::format("{} {}", said, meant), fmt::format("\"{}\":{}{}{}", clause.word, quote, meant, quote)};
}

}  // namespace

void write_calls(const Language& language, Choices& choices, Writer& writer) {
  for (int i = 0; i < n_items(language, 2); ++i) {
    const Tool& tool = kTools[static_cast<size_t>(choices.below(kTools.size()))];
    const Filled action = fill(tool.action, language, choices);
    if (choices.chance(1, 4)) {
      writer.text(action.said + ": ").answer(fmt::format("{{{}}}", action.json));
      continue;
    }
    const Filled detail = fill(tool.detail, language, choices);
    const bool detail_first = choices.chance(1, 2);
    writer.text(detail_first ? detail.said + action.said : action.said + detail.said).text(": ");
    writer.answer(fmt::format("{{{},{}}}", action.json, detail.json));
  }
}

}  // namespace carat::lab
