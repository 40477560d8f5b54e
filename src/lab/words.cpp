// The word lists.
#include "lab/words.h"

#include <array>

#include "base/check.h"

namespace carat::lab {
namespace {

using Class = std::array<std::string_view, 16>;

constexpr Class kPeople = {"tim", "kim", "jim", "ben", "ken", "jen", "dan", "jan",
                           "nan", "sam", "pam", "cam", "ted", "ned", "bob", "rob"};
constexpr Class kAnimals = {"cat", "bat", "rat", "dog", "hog", "fox", "pig", "hen",
                            "bug", "pug", "ram", "cow", "jay", "cub", "pup", "doe"};
constexpr Class kThings = {"hat", "mat", "box", "mug", "jug", "rug", "pen", "pan",
                           "can", "fan", "wig", "bed", "log", "cup", "map", "cap"};
constexpr Class kPlaces = {"den", "fen", "dam", "bog", "bay", "pub", "hub", "pit",
                           "bar", "car", "gap", "lot", "cot", "lab", "cab", "van"};
constexpr Class kLooks = {"red", "tan", "wet", "jet", "hot", "sad", "mad", "bad",
                          "fat", "big", "dim", "fit", "lit", "low", "dun", "fun"};

const Class& list(WordClass word_class) {
  switch (word_class) {
    case WordClass::person:
      return kPeople;
    case WordClass::animal:
      return kAnimals;
    case WordClass::thing:
      return kThings;
    case WordClass::place:
      return kPlaces;
    case WordClass::look:
      break;
  }
  return kLooks;
}

}  // namespace

std::vector<std::string_view> words(WordClass word_class, int n_words) {
  const Class& all = list(word_class);
  CHECK(n_words >= 1 && n_words <= static_cast<int>(all.size()));
  return {all.begin(), all.begin() + n_words};
}

std::vector<std::string_view> letters(int n_letters) {
  static constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz";
  CHECK(n_letters >= 1 && n_letters <= static_cast<int>(kAlphabet.size()));
  std::vector<std::string_view> result;
  for (size_t i = 0; i < static_cast<size_t>(n_letters); ++i) result.push_back(kAlphabet.substr(i, 1));
  return result;
}

}  // namespace carat::lab
