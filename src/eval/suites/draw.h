// Draw: the seeded choices of a generated question.
#pragma once

#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/random.h"

namespace carat::suites {

class Draw {
 public:
  explicit Draw(uint64_t seed) : random_(seed) {}

  // Uniform in {low, …, high}.
  int between(int low, int high) { return low + static_cast<int>(random_.below(high - low + 1)); }
  bool coin() { return random_.below(2) == 1; }

  template <class List>
  const auto& pick(const List& list) {
    return list[static_cast<size_t>(random_.below(std::ssize(list)))];
  }

  // n different places of a list of `size`, in random order.
  std::vector<int> places(int n, int size) {
    CHECK(n <= size);
    std::vector<int> all(static_cast<size_t>(size));
    for (int i = 0; i < size; ++i) all[static_cast<size_t>(i)] = i;
    random_.shuffle(all);
    all.resize(static_cast<size_t>(n));
    return all;
  }

  // n different members of a list of texts, in random order.
  template <class List>
  std::vector<std::string> some(int n, const List& list) {
    std::vector<std::string> result;
    for (const int i : places(n, static_cast<int>(std::ssize(list))))
      result.emplace_back(list[static_cast<size_t>(i)]);
    return result;
  }

  // "A" becomes a letter (without I and O, which look like digits), "0" a digit; other signs stay.
  std::string code(std::string_view pattern) {
    static constexpr std::string_view kLetters = "ABCDEFGHJKLMNPQRSTUVWXYZ";
    std::string text(pattern);
    for (char& c : text) {
      if (c == 'A')
        c = pick(kLetters);
      else if (c == '0')
        c = static_cast<char>('0' + between(0, 9));
    }
    return text;
  }

 private:
  Random random_;
};

}  // namespace carat::suites
