// Choices: the only source of randomness of a document. It adds up minus the log-probability of what it
// chose, so a choice that cannot be read off the text must not be made with it.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "lab/language.h"

namespace carat::lab {

class Choices {
 public:
  explicit Choices(Random& random) : random_(random) {}

  // Uniform in {0, …, n-1}.
  int64_t below(int64_t n) {
    entropy_ += std::log(static_cast<double>(n));
    return random_.below(n);
  }

  // Uniform in {low, …, high}.
  int between(int low, int high) { return low + static_cast<int>(below(high - low + 1)); }

  // True `wins` times in `of`.
  bool chance(int wins, int of) {
    const bool won = random_.below(of) < wins;
    entropy_ -= std::log(static_cast<double>(won ? wins : of - wins) / of);
    return won;
  }

  template <class T>
  const T& pick(const std::vector<T>& items) {
    return items[static_cast<size_t>(below(static_cast<int64_t>(items.size())))];
  }

  // Removes and returns one item; the others keep their order.
  template <class T>
  T take(std::vector<T>& items) {
    const auto chosen = items.begin() + below(static_cast<int64_t>(items.size()));
    T item = std::move(*chosen);
    items.erase(chosen);
    return item;
  }

  double entropy() const { return entropy_; }

 private:
  Random& random_;
  double entropy_ = 0;
};

// Collects a document's pieces. Text that follows text joins its piece, and likewise answers.
class Writer {
 public:
  explicit Writer(std::string_view heading) : pieces_{{std::string(heading), false}} {}

  Writer& text(std::string_view text) { return add(text, false); }
  Writer& answer(std::string_view text) { return add(text, true); }
  std::vector<Piece> take() { return std::move(pieces_); }

 private:
  Writer& add(std::string_view text, bool is_answer) {
    if (pieces_.size() > 1 && pieces_.back().is_answer == is_answer)
      pieces_.back().text += text;
    else
      pieces_.push_back({std::string(text), is_answer});
    return *this;
  }

  std::vector<Piece> pieces_;
};

}  // namespace carat::lab
