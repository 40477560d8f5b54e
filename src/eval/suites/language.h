// Language: what the suite's non-Latin questions are put together from. One set of tasks, written once; each
// language gives its words and sentences, chosen so that no word has to be inflected.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "eval/suites/category.h"

namespace carat::suites {

struct Language {
  std::string_view name;  // of the category
  std::string_view comma;
  std::span<const std::string_view> names, cities, goods, colours;
  std::span<const std::string_view> weekdays;  // Monday first

  // Patterns for fmt::format. "{0}", "{1}", … as stated.
  std::string_view purchase;      // goods, price, count
  std::string_view person;        // name, city, age, colour
  std::string_view whose_city;    // name -> city
  std::string_view who_in_city;   // city -> name
  std::string_view whose_age;     // name -> age
  std::string_view whose_colour;  // name -> colour
  std::string_view day_after;     // weekday, days (11 to 20, or a multiple of 5 up to 40) -> weekday
  std::string_view libraries;     // a heading for lines "city: count"
  std::string_view city_line;     // city, count
  std::string_view most;          // -> city
  std::string_view to_script;     // number -> its spelling
  std::string_view from_script;   // spelling -> number
  std::string_view listed;        // list, place -> goods

  // A number in the language's own script: in words, or in its own digits.
  std::string (*spell)(int number);
  // Numbers whose spelling is not open to taste.
  bool (*is_spellable)(int number);

  std::span<const Prose> prose;
};

const Language& chinese();
const Language& japanese();
const Language& korean();
const Language& arabic();
const Language& hindi();
const Language& russian();

// The digits of a number, each replaced by a text.
std::string with_digits(int number, std::span<const std::string_view> digits);

}  // namespace carat::suites
