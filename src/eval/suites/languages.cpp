// The tasks of all non-Latin languages.
#include <fmt/format.h>

#include <algorithm>

#include "eval/suites/language.h"

namespace carat::suites {
namespace {

using GetLanguage = const Language& (*)();

template <class... Values>
std::string filled(std::string_view pattern, const Values&... values) {
  return fmt::format(fmt::runtime(pattern), values...);
}

Task purchase(const Language& l, Draw& d) {
  const int price = d.between(3, 49), count = d.between(3, 25);
  return {filled(l.purchase, d.pick(l.goods), price, count), {std::to_string(price * count)}};
}

// Six people; one of them, or one thing about one of them.
Task people(const Language& l, Draw& d) {
  constexpr int kPeople = 6;
  const auto names = d.some(kPeople, l.names), cities = d.some(kPeople, l.cities),
             colours = d.some(kPeople, l.colours);
  std::vector<int> ages;
  std::string text;
  for (size_t i = 0; i < kPeople; ++i) {
    ages.push_back(d.between(21, 79));
    text.append(filled(l.person, names[i], cities[i], ages.back(), colours[i])).append(1, '\n');
  }
  const auto i = static_cast<size_t>(d.between(0, kPeople - 1));
  switch (d.between(0, 3)) {
    case 0:
      return {text.append(1, '\n').append(filled(l.whose_city, names[i])), {cities[i]}};
    case 1:
      return {text.append(1, '\n').append(filled(l.who_in_city, cities[i])), {names[i]}};
    case 2:
      return {text.append(1, '\n').append(filled(l.whose_age, names[i])), {std::to_string(ages[i])}};
    default:
      return {text.append(1, '\n').append(filled(l.whose_colour, names[i])), {colours[i]}};
  }
}

Task weekday(const Language& l, Draw& d) {
  const int today = d.between(0, 6), days = d.coin() ? d.between(11, 20) : 5 * d.between(4, 8);
  return {filled(l.day_after, l.weekdays[static_cast<size_t>(today)], days),
          {std::string(l.weekdays[static_cast<size_t>((today + days) % 7)])}};
}

Task largest(const Language& l, Draw& d) {
  const auto cities = d.some(6, l.cities);
  std::vector<int> counts;
  for (const int offset : d.places(6, 60)) counts.push_back(120 + offset);  // all different
  std::string text(l.libraries);
  for (size_t i = 0; i < cities.size(); ++i)
    text.append(1, '\n').append(filled(l.city_line, cities[i], counts[i]));
  const auto most = static_cast<size_t>(std::max_element(counts.begin(), counts.end()) - counts.begin());
  return {text.append("\n\n").append(l.most), {cities[most]}};
}

Task script(const Language& l, Draw& d) {
  int number;
  do number = d.between(21, 999);
  while (!l.is_spellable(number));
  if (d.coin()) return {filled(l.to_script, number), {l.spell(number)}};
  return {filled(l.from_script, l.spell(number)), {std::to_string(number)}};
}

Task listed(const Language& l, Draw& d) {
  const auto goods = d.some(8, l.goods);
  const int place = d.between(2, 7);
  return {filled(l.listed, joined(goods, l.comma), place), {goods[static_cast<size_t>(place - 1)]}};
}

// A task that knows its language.
template <GetLanguage language, Task (*write)(const Language&, Draw&)>
Task in(Draw& d) {
  return write(language(), d);
}

template <GetLanguage language>
Category category() {
  return {language().name,
          {in<language, purchase>, in<language, people>, in<language, weekday>, in<language, largest>,
           in<language, script>, in<language, listed>},
          {},
          language().prose};
}

}  // namespace

std::string with_digits(int number, std::span<const std::string_view> digits) {
  std::string text;
  for (const char c : std::to_string(number)) text += digits[static_cast<size_t>(c - '0')];
  return text;
}

std::vector<Category> languages() {
  return {category<chinese>(), category<japanese>(), category<korean>(),
          category<arabic>(),  category<hindi>(),    category<russian>()};
}

}  // namespace carat::suites
