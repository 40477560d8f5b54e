// Exact recall: text that stands in the prompt, to be given back sign by sign.
#include <fmt/format.h>

#include <algorithm>

#include "eval/suites/category.h"

namespace carat::suites {
namespace {

constexpr std::string_view kNames[] = {"Abbot",  "Bellamy", "Castor",  "Dunmore", "Everly",  "Farrow",
                                       "Gantry", "Hollis",  "Ivers",   "Jessop",  "Kessel",  "Lorimer",
                                       "Marlow", "Norwood", "Osborne", "Pryce",   "Quimby",  "Rowan",
                                       "Sutter", "Tolland", "Upton",   "Varley",  "Wexford", "Yarrow"};
constexpr std::string_view kAdjectives[] = {"quiet",  "rusty",   "narrow",  "golden", "crooked", "frozen",
                                            "hollow", "distant", "painted", "broken", "silver",  "wooden"};
constexpr std::string_view kNouns[] = {"bridge",  "lantern", "staircase", "barrel", "compass", "window",
                                       "orchard", "engine",  "harbour",   "ladder", "mirror",  "tunnel"};
constexpr std::string_view kVerbs[] = {"guards",   "carries", "hides",     "crosses", "follows",
                                       "measures", "repairs", "remembers", "leaves",  "paints"};
constexpr std::string_view kOrdinals[] = {"first", "second", "third", "fourth", "fifth", "sixth"};

std::string serial(Draw& d) { return d.code("AA00-0A0A-000A"); }

// Which serial number belongs to whom.
Task directory(Draw& d) {
  const auto names = d.some(16, kNames);
  std::vector<std::string> serials;
  std::string list;
  for (const auto& name : names) {
    serials.push_back(serial(d));
    list += fmt::format("\n{}: {}", name, serials.back());
  }
  const auto asked = d.places(3, 16);
  Task task{fmt::format("Serial numbers:{}\n\nWhat are the serial numbers of {}, {} and {}? Answer with the "
                        "three numbers in this order, one per line.",
                        list, names[static_cast<size_t>(asked[0])], names[static_cast<size_t>(asked[1])],
                        names[static_cast<size_t>(asked[2])]),
            {}};
  for (const int i : asked) task.lines.push_back(serials[static_cast<size_t>(i)]);
  return task;
}

// The other way round.
Task owner(Draw& d) {
  const auto names = d.some(12, kNames);
  std::vector<std::string> serials;
  std::string list;
  for (const auto& name : names) {
    serials.push_back(serial(d));
    list += fmt::format("\n{} {}", serials.back(), name);
  }
  const auto i = static_cast<size_t>(d.between(0, 11));
  return {fmt::format("Lockers and who has them:{}\n\nWho has locker {}? Answer with the name alone.", list,
                      serials[i]),
          {names[i]}};
}

Task line(Draw& d) {
  const int n = d.between(6, 12), asked = d.between(2, n);
  std::string list, answer;
  for (int i = 1; i <= n; ++i) {
    const std::string text =
        fmt::format("{} {} {} {}", d.code("0A0"), d.pick(kAdjectives), d.pick(kNouns), d.code("000-AA"));
    list += "\n" + text;
    if (i == asked) answer = text;
  }
  return {fmt::format("Here are {} lines:{}\n\nRepeat line {} exactly, and nothing else.", n, list, asked),
          {answer}};
}

std::string sentence(Draw& d) {
  const auto nouns = d.some(3, kNouns);
  return fmt::format("The {} {} {} the {} {} behind the {}.", d.pick(kAdjectives), nouns[0], d.pick(kVerbs),
                     d.pick(kAdjectives), nouns[1], nouns[2]);
}

Task quotation(Draw& d) {
  const int n = 6, asked = d.between(0, n - 1);
  std::string text, answer;
  for (int i = 0; i < n; ++i) {
    const std::string s = sentence(d);
    text += (i == 0 ? "" : " ") + s;
    if (i == asked) answer = s;
  }
  return {fmt::format("{}\n\nRepeat the {} sentence of this text word for word, and nothing else.", text,
                      kOrdinals[asked]),
          {answer}};
}

Task backwards(Draw& d) {
  std::vector<std::string> codes;
  for (int i = 0; i < 6; ++i) codes.push_back(d.code("A00A"));
  const std::string shown = joined(codes, ", ");
  std::reverse(codes.begin(), codes.end());
  return {fmt::format(
              "Write these codes in reverse order, the last one first, one per line and nothing else: {}.",
              shown),
          codes};
}

Task digits(Draw& d) {
  const std::string text = d.code("00000000000000000000000000000000");
  return {fmt::format("Repeat this number exactly, and nothing else: {}", text), {text}};
}

}  // namespace

Category recall() { return {"recall", {directory, owner, line, quotation, backwards, digits}, {}, {}}; }

}  // namespace carat::suites
