// JsonValue: what a tool's schema, a call's arguments and a tool's result are made of. Members keep the order
// in which they were written, because the chat template's sort is stable on it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace carat {

class JsonValue {
 public:
  using Array = std::vector<JsonValue>;
  using Object = std::vector<std::pair<std::string, JsonValue>>;  // no key twice

  // Deeper values are refused wherever they come from, so that walking one may recurse.
  static constexpr int kMaxDepth = 64;

  JsonValue() = default;  // null
  JsonValue(bool value) : state_(value) {}
  JsonValue(int64_t value) : state_(value) {}
  JsonValue(int value) : state_(int64_t{value}) {}
  JsonValue(double value) : state_(value) {}
  JsonValue(std::string value) : state_(std::move(value)) {}
  JsonValue(const char* value) : state_(std::string(value)) {}
  JsonValue(Array value) : state_(std::move(value)) {}
  JsonValue(Object value) : state_(std::move(value)) {}

  bool is_null() const { return std::holds_alternative<std::monostate>(state_); }
  const bool* boolean() const { return std::get_if<bool>(&state_); }
  const int64_t* integer() const { return std::get_if<int64_t>(&state_); }
  const double* real() const { return std::get_if<double>(&state_); }
  const std::string* text() const { return std::get_if<std::string>(&state_); }
  const Array* array() const { return std::get_if<Array>(&state_); }
  const Object* object() const { return std::get_if<Object>(&state_); }

  // The member of an object; null: no such member, or no object.
  const JsonValue* find(std::string_view key) const;

  bool operator==(const JsonValue&) const = default;

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> state_;
};

// One JSON text. Of members with the same key the last counts, in the place of the first. Whole numbers
// beyond 64 bits become doubles. The error says where the text stops being JSON.
Result<JsonValue> parse_json(std::string_view text);

// Without spaces; what is not UTF-8 is replaced.
std::string to_json(const JsonValue& value);

// Of members with the same key, keeps the place of the first and the value of the last. Takes n log n.
void drop_repeated(JsonValue::Object& object);

}  // namespace carat
