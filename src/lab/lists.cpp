// Lists to copy, to reverse and to sort, and brackets to close.
//
//   list: copy d k d: d k d; flip d k a: a k d; sort d k a d: a d d k;
//   pair: ([<>{:}]); ((:));
//
// A list may hold a letter more than once, so copying takes a sense of place. An unfinished row of brackets
// is never empty and never deeper than sixteen.
#include <fmt/format.h>

#include <algorithm>

#include "lab/documents.h"

namespace carat::lab {
namespace {

std::string spaced(const std::vector<std::string_view>& items) {
  std::string text;
  for (const std::string_view item : items) text += fmt::format(" {}", item);
  return text;
}

}  // namespace

void write_lists(const Language& language, Choices& choices, Writer& writer) {
  enum { copy, flip, sort };
  static constexpr std::string_view kNames[] = {"copy", "flip", "sort"};
  static constexpr int kShortest = 3;
  const int longest = curriculum(language, kShortest, 18);
  const std::vector<std::string_view> alphabet = letters(std::min(12, language.n_letters));
  for (int i = 0; i < n_items(language, 2); ++i) {
    const int64_t task = choices.below(3);
    std::vector<std::string_view> list;
    const int length = choices.between(kShortest, longest);
    for (int j = 0; j < length; ++j) list.push_back(choices.pick(alphabet));
    writer.text(fmt::format(" {}{}:", kNames[task], spaced(list)));
    if (task == flip) std::reverse(list.begin(), list.end());
    if (task == sort) std::sort(list.begin(), list.end());
    writer.answer(spaced(list) + ";");
  }
}

void write_brackets(const Language& language, Choices& choices, Writer& writer) {
  static constexpr std::string_view kOpen = "([{<", kClose = ")]}>";
  static constexpr size_t kDeepest = 16;
  const int longest = curriculum(language, 3, 36);
  for (int i = 0; i < n_items(language, 2); ++i) {
    std::string row, missing;  // missing: innermost last
    const int length = choices.between(1, longest);
    for (int j = 0; j < length; ++j) {
      // Where both are possible, two steps in five close. The outermost stays open, so that something is
      // missing.
      const bool may_close = missing.size() > 1, may_open = missing.size() < kDeepest;
      if (may_close && (!may_open || choices.chance(2, 5))) {
        row += missing.back();
        missing.pop_back();
      } else {
        const size_t type = static_cast<size_t>(choices.below(4));
        row += kOpen[type];
        missing += kClose[type];
      }
    }
    std::reverse(missing.begin(), missing.end());
    writer.text(fmt::format(" {}:", row)).answer(missing + ";");
  }
}

}  // namespace carat::lab
