// Three kinds: a ledger, whose entries are looked up at four depths; a chronicle, in which things are moved
// and only their last place counts; and rules with amendments, of which the last one is in force.
#include "eval/suites/long_document.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

namespace carat::suites {
namespace {

constexpr int kAsked = 4;

constexpr std::string_view kNames[] = {"Adler",   "Bruun",  "Castell", "Dorian",  "Estrada", "Falk",
                                       "Garland", "Hoover", "Iwata",   "Janssen", "Kaplan",  "Lindgren",
                                       "Moreau",  "Novak",  "Okafor",  "Pereira", "Quist",   "Romero",
                                       "Silva",   "Tanaka", "Ulrich",  "Vance",   "Weber",   "Zander"};
constexpr std::string_view kWares[] = {"lamps",        "chairs",  "bricks",  "ropes",   "barrels",
                                       "window panes", "carpets", "clocks",  "kettles", "ladders",
                                       "mirrors",      "pumps",   "saddles", "tiles"};
constexpr std::string_view kStores[] = {"the harbour store", "the northern depot", "the old brewery",
                                        "the cellar",        "the railway shed",   "the mill"};
constexpr std::string_view kMonths[] = {"January",   "February", "March",    "April",
                                        "May",       "June",     "July",     "August",
                                        "September", "October",  "November", "December"};
constexpr std::string_view kRooms[] = {"the attic",   "the boathouse",  "the chapel",  "the dairy",
                                       "the gallery", "the greenhouse", "the kitchen", "the library",
                                       "the pantry",  "the stable",     "the study",   "the tower"};
constexpr std::string_view kThings[] = {"brass telescope", "blue vase", "chess set",     "copper kettle",
                                        "family album",    "globe",     "iron key",      "ivory comb",
                                        "leather trunk",   "music box", "oil painting",  "silver tray",
                                        "stuffed owl",     "violin",    "walking stick", "wooden horse"};
constexpr std::string_view kRemarks[] = {"Nothing else of note happened that day.",
                                         "The weather stayed dry until the evening.",
                                         "Two visitors were shown around and left before supper.",
                                         "The accounts were checked and found in order.",
                                         "A window had to be mended after the storm.",
                                         "Nobody could say who had asked for it.",
                                         "The gardener complained about the rabbits again.",
                                         "It took longer than planned, but no harm was done.",
                                         "Afterwards everybody had tea in the yard.",
                                         "The carter was paid in coins, as he always wished."};
constexpr std::string_view kSubjects[] = {
    "berth fee",       "storage limit", "night charge",  "towing fee",   "deposit",     "late penalty",
    "cleaning fee",    "mooring time",  "crane charge",  "water charge", "waste fee",   "pilot fee",
    "insurance share", "waiting time",  "notice period", "weight limit", "speed limit", "guest allowance"};

// Collects paragraphs up to a number of tokens. A newline never shares a token with what stands beside it, so
// paragraphs can be counted one by one.
class Document {
 public:
  Document(const Tokenizer& tokenizer, int64_t n_tokens) : tokenizer_(tokenizer), room_(n_tokens) {}

  // False: it does not fit, and nothing was added.
  bool add(const std::string& paragraph) {
    const auto cost = static_cast<int64_t>(encode_content(paragraph, tokenizer_).size()) + 1;
    if (cost > room_) return false;
    room_ -= cost;
    text_ += paragraph + "\n";
    ++n_paragraphs_;
    return true;
  }
  const std::string& text() const { return text_; }
  int n_paragraphs() const { return n_paragraphs_; }

 private:
  const Tokenizer& tokenizer_;
  int64_t room_;
  std::string text_;
  int n_paragraphs_ = 0;
};

std::string date(Draw& d) { return fmt::format("{} {}", d.between(1, 28), d.pick(kMonths)); }

// One place in each quarter of [0, n).
std::array<int, kAsked> depths(Draw& d, int n) {
  std::array<int, kAsked> places;
  for (int i = 0; i < kAsked; ++i)
    places[static_cast<size_t>(i)] =
        d.between(n * i / kAsked, std::max(n * i / kAsked, n * (i + 1) / kAsked - 1));
  return places;
}

std::string ask(std::string text, const std::string& question) {
  return std::move(text) + "\n" + question + " Answer with four lines and nothing else, in this order.";
}

Question as_question(std::string text, std::vector<std::string> lines) {
  Question q;
  q.turns = {{ChatTurn::Role::user, std::move(text)}};
  q.lines = std::move(lines);
  return q;
}

Result<void> check_entries(size_t n) {
  if (n < kAsked)
    return fail("a long document has room for {} entries only; expected at least {}", n, kAsked);
  return {};
}

Result<Question> ledger(Draw& d, Document document) {
  std::vector<std::string> receipts;
  document.add("The ledger of the Warden & Sons trading house.\n");
  while (true) {
    const std::string receipt = d.code("A0-0000");
    const std::string entry = fmt::format(
        "Entry {}. On {}, {} delivered {} crates of {} to {}. Receipt {}. {}", receipts.size() + 1, date(d),
        d.pick(kNames), d.between(2, 90), d.pick(kWares), d.pick(kStores), receipt, d.pick(kRemarks));
    if (!document.add(entry)) break;
    receipts.push_back(receipt);
  }
  TRY(check_entries(receipts.size()));
  const auto places = depths(d, static_cast<int>(receipts.size()));
  Question q = as_question(
      ask(document.text(), fmt::format("What are the receipts of the entries {}, {}, {} and {}?",
                                       places[0] + 1, places[1] + 1, places[2] + 1, places[3] + 1)),
      {});
  for (const int p : places) q.lines.push_back(receipts[static_cast<size_t>(p)]);
  return q;
}

Result<Question> chronicle(Draw& d, Document document) {
  const auto things = d.some(12, kThings);
  std::map<std::string, std::string> place;
  document.add("The house book of Ashford Manor. It says where things were put.\n");
  size_t n = 0;
  while (true) {
    // First everything gets a place, then things are moved at random.
    const std::string& thing = n < things.size() ? things[n] : d.pick(things);
    std::string room;
    do room = d.pick(kRooms);
    while (room == place[thing]);
    const std::string entry = n < things.size()
                                  ? fmt::format("The {} was put into {}.", thing, room)
                                  : fmt::format("On {}, {} took the {} from {} to {}. {}", date(d),
                                                d.pick(kNames), thing, place[thing], room, d.pick(kRemarks));
    if (!document.add(entry)) break;
    place[thing] = room;
    ++n;
  }
  TRY(check_entries(n));
  const auto asked = d.places(kAsked, static_cast<int>(std::min(n, things.size())));
  const auto thing = [&](int i) { return things[static_cast<size_t>(asked[static_cast<size_t>(i)])]; };
  Question q = as_question(
      ask(document.text(),
          fmt::format(
              "In which rooms are the {}, the {}, the {} and the {} at the end? Write each room as the "
              "book does, for example \"the attic\".",
              thing(0), thing(1), thing(2), thing(3))),
      {});
  for (int i = 0; i < kAsked; ++i) q.lines.push_back(place[thing(i)]);
  return q;
}

Result<Question> rules(Draw& d, Document document) {
  const auto subjects = d.some(14, kSubjects);
  std::map<std::string, int> value;
  document.add(
      "Rules of the harbour, with all amendments. Of several rules on one subject, the last one is in "
      "force.\n");
  size_t n = 0;
  while (true) {
    const std::string& subject = n < subjects.size() ? subjects[n] : d.pick(subjects);
    int figure;
    do figure = d.between(10, 980);
    while (value.contains(subject) && figure == value[subject]);
    const std::string entry =
        n < subjects.size()
            ? fmt::format("Section {}. The {} is {}. {}", n + 1, subject, figure, d.pick(kRemarks))
            : fmt::format("Amendment {} of {}, moved by {}: the {} is {} instead of {}. {}",
                          n + 1 - subjects.size(), date(d), d.pick(kNames), subject, figure, value[subject],
                          d.pick(kRemarks));
    if (!document.add(entry)) break;
    value[subject] = figure;
    ++n;
  }
  TRY(check_entries(n));
  const auto asked = d.places(kAsked, static_cast<int>(std::min(n, subjects.size())));
  const auto subject = [&](int i) { return subjects[static_cast<size_t>(asked[static_cast<size_t>(i)])]; };
  Question q = as_question(
      ask(document.text(), fmt::format("Which figures are in force for the {}, the {}, the {} and the {}?",
                                       subject(0), subject(1), subject(2), subject(3))),
      {});
  for (int i = 0; i < kAsked; ++i) q.lines.push_back(std::to_string(value[subject(i)]));
  return q;
}

}  // namespace

Result<Question> long_document(Draw& draw, int64_t kind, int64_t n_tokens, const Tokenizer& tokenizer) {
  // The template, the question at the end and four answers, counted generously: by characters where the
  // vocabulary has no words.
  constexpr std::string_view kQuestion =
      "In which rooms are the brass telescope, the walking stick, the leather trunk and the wooden horse at "
      "the end? Write each room as the book does, for example \"the attic\". Answer with "
      "four lines and nothing else, in this order. the boathouse the greenhouse the greenhouse the boathouse";
  constexpr int64_t kTemplate = 40;
  const auto reserved = static_cast<int64_t>(encode_content(kQuestion, tokenizer).size()) + kTemplate;
  Document document(tokenizer, n_tokens - reserved);
  switch (kind % 3) {
    case 0:
      return ledger(draw, std::move(document));
    case 1:
      return chronicle(draw, std::move(document));
    default:
      return rules(draw, std::move(document));
  }
}

}  // namespace carat::suites
