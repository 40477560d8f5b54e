// Sums: additions and subtractions of numbers with one to four digits; no result is negative.
//
//   sum: 12+7=19; 4031-985=3046; 5-5=0;
//
// All digits are tokens of their own. One-digit sums are learned by heart, four-digit ones need carries.
#include <fmt/format.h>

#include "lab/documents.h"

namespace carat::lab {

void write_sums(const Language& language, Choices& choices, Writer& writer) {
  static constexpr int64_t kPowers[] = {0, 10, 100, 1000, 10000};
  const int longest = curriculum(language, 1, 4);
  for (int i = 0; i < n_items(language, 5); ++i) {
    const int n_digits = choices.between(1, longest);
    const int64_t lowest = kPowers[n_digits - 1];
    const int64_t left = lowest + choices.below(kPowers[n_digits] - lowest);
    const int64_t right = choices.below(left + 1);
    const bool plus = choices.chance(1, 2);
    writer.text(fmt::format(" {}{}{}=", left, plus ? '+' : '-', right));
    writer.answer(fmt::format("{};", plus ? left + right : left - right));
  }
}

}  // namespace carat::lab
