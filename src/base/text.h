// Small questions about text that several layers ask.
#pragma once

#include <cstddef>
#include <string_view>

namespace carat {

// Equal but for the case of ASCII letters, whatever the locale.
constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

}  // namespace carat
