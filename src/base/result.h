// Result<T>: how Carat reports the world's faults (a bad file, flag, request or disk). Spelled like
// std::expected, which g++ 12 does not have. Our own faults are CHECKs (base/check.h), never Results.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace carat {

// One line for a person: what went wrong, where, and what was expected. No trailing period or newline.
struct [[nodiscard]] Error {
  std::string message;
};

// Formats an Error: `return fail("{}: expected {} bytes, found {}", path, want, have);`
template <class... Args>
Error fail(fmt::format_string<Args...> format, Args&&... args) {
  return Error{fmt::format(format, std::forward<Args>(args)...)};
}

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& value() & { return CHECK(has_value()), std::get<0>(state_); }
  const T& value() const& { return CHECK(has_value()), std::get<0>(state_); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  T take() { return std::move(value()); }
  const Error& error() const { return CHECK(!has_value()), std::get<1>(state_); }
  Error take_error() { return CHECK(!has_value()), std::move(std::get<1>(state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), ok_(false) {}

  bool has_value() const { return ok_; }
  explicit operator bool() const { return ok_; }
  void take() const { CHECK(ok_); }
  const Error& error() const { return CHECK(!ok_), error_; }
  Error take_error() { return CHECK(!ok_), std::move(error_); }

 private:
  Error error_;
  bool ok_ = true;
};

}  // namespace carat

// TRY(expression of type Result<T>) yields the T, or returns the Error from the enclosing function. The counter gives
// a TRY within a TRY a name of its own. Not within the braces of an initializer: returning from there forgets to destroy
// the members already built.
#define TRY(...) CARAT_TRY_AS(CARAT_JOIN(try_result_, __COUNTER__), __VA_ARGS__)
#define CARAT_JOIN(a, b) CARAT_JOIN_EXPANDED(a, b)
#define CARAT_JOIN_EXPANDED(a, b) a##b
#define CARAT_TRY_AS(result, ...)                          \
  __extension__({                                          \
    auto result = (__VA_ARGS__);                           \
    if (!result.has_value()) return result.take_error();   \
    result.take();                                         \
  })
