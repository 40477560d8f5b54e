// Stories: people move, get things and give them away; after each event a question whose answer is in the
// text.
//
//   tale: tim is at den. kim is at bay. kim gets hat. who has hat? kim. tim goes to pub. where is hat? bay.
//
// The last question takes two look-ups: who has it, and where is she.
#include <fmt/format.h>

#include <algorithm>

#include "lab/documents.h"

namespace carat::lab {
namespace {

using Word = std::string_view;

struct Person {
  Word name, place;
};

struct Thing {
  Word name;
  size_t owner;  // index of a person
};

class Story {
 public:
  Story(const Language& language, Choices& choices, Writer& writer)
      : choices_(choices),
        writer_(writer),
        people_left_(words(WordClass::person, language.n_words)),
        places_(words(WordClass::place, language.n_words)),
        things_left_(words(WordClass::thing, language.n_words)) {}

  void introduce() {
    const Word name = choices_.take(people_left_), place = choices_.pick(places_);
    people_.push_back({name, place});
    writer_.text(fmt::format(" {} is at {}.", name, place));
  }

  void happen() {
    enum { moves, gets, gives };
    std::vector<int> possible = {moves};
    if (!things_left_.empty()) possible.push_back(gets);
    if (!things_.empty() && people_.size() > 1) possible.push_back(gives);
    switch (choices_.pick(possible)) {
      case moves:
        return move();
      case gets:
        return get();
      default:
        return give();
    }
  }

  void ask() {
    enum { where_person, who, where_thing };
    std::vector<int> possible = {where_person};
    if (!things_.empty()) possible = {where_person, who, where_thing};
    const int question = choices_.pick(possible);
    if (question == where_person) {
      const Person& person = choices_.pick(people_);
      writer_.text(fmt::format(" where is {}?", person.name)).answer(fmt::format(" {}.", person.place));
      return;
    }
    const Thing& thing = choices_.pick(things_);
    const Person& owner = people_[thing.owner];
    if (question == who)
      writer_.text(fmt::format(" who has {}?", thing.name)).answer(fmt::format(" {}.", owner.name));
    else
      writer_.text(fmt::format(" where is {}?", thing.name)).answer(fmt::format(" {}.", owner.place));
  }

 private:
  size_t someone() { return static_cast<size_t>(choices_.below(static_cast<int64_t>(people_.size()))); }

  void move() {
    Person& person = people_[someone()];
    std::vector<Word> elsewhere = places_;
    std::erase(elsewhere, person.place);
    person.place = choices_.pick(elsewhere);
    writer_.text(fmt::format(" {} goes to {}.", person.name, person.place));
  }

  void get() {
    const size_t owner = someone();
    things_.push_back({choices_.take(things_left_), owner});
    writer_.text(fmt::format(" {} gets {}.", people_[owner].name, things_.back().name));
  }

  void give() {
    Thing& thing = things_[static_cast<size_t>(choices_.below(static_cast<int64_t>(things_.size())))];
    const size_t giver = thing.owner;
    thing.owner = static_cast<size_t>(choices_.below(static_cast<int64_t>(people_.size()) - 1));
    if (thing.owner >= giver) ++thing.owner;
    writer_.text(
        fmt::format(" {} gives {} to {}.", people_[giver].name, thing.name, people_[thing.owner].name));
  }

  Choices& choices_;
  Writer& writer_;
  std::vector<Word> people_left_, places_, things_left_;
  std::vector<Person> people_;
  std::vector<Thing> things_;
};

}  // namespace

void write_story(const Language& language, Choices& choices, Writer& writer) {
  Story story(language, choices, writer);
  const int n_people = choices.between(1, curriculum(language, 1, std::min(4, language.n_words)));
  for (int i = 0; i < n_people; ++i) story.introduce();
  const int n_rounds = language.n_items ? language.n_items : choices.between(2, curriculum(language, 2, 5));
  for (int i = 0; i < n_rounds; ++i) {
    story.happen();
    story.ask();
  }
}

}  // namespace carat::lab
