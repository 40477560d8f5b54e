// Maths: computed in the head, so that the answer follows the question at once.
#include <fmt/format.h>

#include <numeric>

#include "eval/suites/category.h"

namespace carat::suites {
namespace {

constexpr std::string_view kNumberOnly = " Answer with the number alone.";

constexpr std::string_view kNames[] = {"Lena", "Omar",  "Priya", "Tomas", "Ines",  "Kofi",
                                       "Maya", "Jonas", "Aiko",  "Sven",  "Carla", "Dmitri"};

Task number(std::string question, int64_t answer) {
  return {question.append(kNumberOnly), {std::to_string(answer)}};
}

Task expression(Draw& d) {
  const int a = d.between(12, 98), b = d.between(3, 29), c = d.between(11, 199);
  switch (d.between(0, 3)) {
    case 0:
      return number(fmt::format("What is {} * {} + {}?", a, b, c), a * b + c);
    case 1:
      return number(fmt::format("What is ({} + {}) * {}?", a, c, b % 9 + 2), (a + c) * (b % 9 + 2));
    case 2:
      return number(fmt::format("What is {} - {} * {}?", c, b % 9 + 2, a), c - (b % 9 + 2) * a);
    default:
      return number(fmt::format("What is {} + {} - {}?", 10 * a + b, 7 * c, 3 * a),
                    10 * a + b + 7 * c - 3 * a);
  }
}

Task change(Draw& d) {
  const int book = d.between(3, 9), pen = d.between(1, 4), n_books = d.between(2, 6),
            n_pens = d.between(2, 7);
  const int cost = book * n_books + pen * n_pens, note = cost < 50 ? 50 : 100;
  return number(fmt::format("A notebook costs {} euros and a pen costs {} euros. {} buys {} notebooks and {} "
                            "pens and pays with a "
                            "{}-euro note. How many euros does the cashier give back?",
                            book, pen, d.pick(kNames), n_books, n_pens, note),
                note - cost);
}

Task distance(Draw& d) {
  const int speed = 4 * d.between(10, 35), hours = d.between(1, 5), minutes = 15 * d.between(1, 3);
  return number(
      fmt::format(
          "A train travels at a constant {} kilometres per hour for {} hours and {} minutes. How many "
          "kilometres does it cover?",
          speed, hours, minutes),
      speed * hours + speed * minutes / 60);
}

Task percentage(Draw& d) {
  const int percent = 5 * d.between(1, 19), base = 20 * d.between(4, 60);
  if (d.coin()) return number(fmt::format("What is {} percent of {}?", percent, base), percent * base / 100);
  return number(fmt::format("A price of {} euros is reduced by {} percent. What is the new price in euros?",
                            base, percent),
                base - percent * base / 100);
}

Task equation(Draw& d) {
  const int factor = d.between(3, 14), x = d.between(2, 25), shift = d.between(4, 90);
  const bool minus = d.coin();
  return number(fmt::format("Solve for x: {}x {} {} = {}.", factor, minus ? '-' : '+', shift,
                            factor * x + (minus ? -shift : shift)),
                x);
}

Task sequence(Draw& d) {
  const int kind = d.between(0, 2), start = d.between(2, 12), step = d.between(2, 9);
  int64_t value = start;
  std::string terms;
  for (int i = 0; i < 5; ++i) {
    terms += fmt::format("{}{}", i == 0 ? "" : ", ", value);
    if (kind == 0)
      value += step * (i + 1);  // growing steps
    else if (kind == 1)
      value = 2 * value + step;  // doubled and shifted
    else
      value += i % 2 == 0 ? step + 5 : -step;  // to and fro
  }
  return number(fmt::format("Which number comes next in the sequence {}?", terms), value);
}

Task divisors(Draw& d) {
  const int common = d.between(2, 15), a = common * d.between(2, 12), b = common * d.between(3, 13);
  if (d.coin())
    return number(fmt::format("What is the greatest common divisor of {} and {}?", a, b), std::gcd(a, b));
  return number(fmt::format("What is the least common multiple of {} and {}?", a % 30 + 4, b % 25 + 6),
                std::lcm(a % 30 + 4, b % 25 + 6));
}

Task remainder(Draw& d) {
  const int n = d.between(120, 2999), by = d.between(6, 19);
  return number(fmt::format("What is the remainder when {} is divided by {}?", n, by), n % by);
}

Task rectangle(Draw& d) {
  const int width = d.between(4, 30), height = d.between(5, 40);
  return number(fmt::format("A rectangle has a perimeter of {} metres, and one of its sides is {} metres "
                            "long. What is its area "
                            "in square metres?",
                            2 * (width + height), width),
                width * height);
}

Task mean(Draw& d) {
  int values[5], sum = 0;
  for (int& v : values) sum += v = d.between(10, 99);
  values[4] += 5 - sum % 5;  // a whole mean
  sum += 5 - sum % 5;
  return number(fmt::format("What is the mean of {}, {}, {}, {} and {}?", values[0], values[1], values[2],
                            values[3], values[4]),
                sum / 5);
}

Task binary(Draw& d) {
  const int n = d.between(17, 255);
  if (d.coin()) return number(fmt::format("Which decimal number is {:b} in binary?", n), n);
  return {fmt::format("How is the decimal number {} written in binary? Answer with the digits alone.", n),
          {fmt::format("{:b}", n)}};
}

Task shares(Draw& d) {
  const int parts_a = d.between(1, 5), parts_b = d.between(2, 7), unit = d.between(6, 40);
  const auto names = d.some(2, kNames);
  return number(fmt::format("{} and {} share {} marbles in the ratio {} to {}. How many marbles does {} get?",
                            names[0], names[1], unit * (parts_a + parts_b), parts_a, parts_b, names[1]),
                unit * parts_b);
}

}  // namespace

Category maths() {
  return {"maths",
          {expression, change, distance, percentage, equation, sequence, divisors, remainder, rectangle, mean,
           binary, shares},
          {},
          {}};
}

}  // namespace carat::suites
