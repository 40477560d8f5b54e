// Sums: additions, subtractions without negative results, and products with a one-digit number.
//
//   sum: 12+7=19; 4031-985=3046; 12*7=84; 5-5=0;
//
// All digits are tokens of their own. Numbers have one to four digits: one-digit results are learned by
// heart, longer ones need carries, products of long numbers stay hard.
#include <fmt/format.h>

#include "lab/documents.h"

namespace carat::lab {

void write_sums(const Language& language, Choices& choices, Writer& writer) {
  static constexpr int64_t kPowers[] = {0, 10, 100, 1000, 10000};
  const int longest = curriculum(language, 1, 4);
  for (int i = 0; i < n_items(language, 4); ++i) {
    const int n_digits = choices.between(1, longest);
    const int64_t lowest = kPowers[n_digits - 1];
    const int64_t left = lowest + choices.below(kPowers[n_digits] - lowest);
    const char sign = "+-*"[choices.below(3)];
    const int64_t right = choices.below(sign == '*' ? 10 : left + 1);
    const int64_t result = sign == '+' ? left + right : sign == '-' ? left - right : left * right;
    writer.text(fmt::format(" {}{}{}=", left, sign, right)).answer(fmt::format("{};", result));
  }
}

}  // namespace carat::lab
