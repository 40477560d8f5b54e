// Typed access to metadata, with errors that say which key, what was expected and what stands there.
#include "gguf/metadata.h"

#include <algorithm>
#include <concepts>
#include <type_traits>

#include "gguf/layout.h"

namespace carat::gguf {
namespace {

constexpr std::string_view kTypeNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                           "bool", "string", "array", "u64", "i64", "f64"};

template <class T>
concept Integer = std::integral<T> && !std::same_as<T, bool>;

// nullopt: not an integer, or one above int64's range.
std::optional<int64_t> as_integer(const Value& value) {
  return std::visit(
      [](const auto& v) -> std::optional<int64_t> {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::same_as<T, uint64_t>) {
          if (v > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
        }
        if constexpr (Integer<T>) return static_cast<int64_t>(v);
        return std::nullopt;
      },
      value);
}

Error absent(std::string_view key) { return fail("key '{}' is missing", printable(key)); }

std::string describe_array(const Array& array) {
  return fmt::format("array of {} {}", size_of(array), name_of(element_type_of(array)));
}

Error mismatch(std::string_view key, std::string_view expected, const std::string& found) {
  return fail("key '{}': expected {}, found {}", printable(key), expected, found);
}

Error mismatch(std::string_view key, std::string_view expected, const Value& value) {
  return mismatch(key, expected, describe_type(value));
}

Result<int64_t> integer_of(std::string_view key, const Value& value, int64_t min, int64_t max) {
  const std::optional<int64_t> number = as_integer(value);
  if (!number && std::holds_alternative<uint64_t>(value))
    return fail("key '{}': {} is outside {}..{}", printable(key), std::get<uint64_t>(value), min, max);
  if (!number) return mismatch(key, "an integer", value);
  if (*number < min || *number > max)
    return fail("key '{}': {} is outside {}..{}", printable(key), *number, min, max);
  return *number;
}

Result<double> number_of(std::string_view key, const Value& value) {
  if (const auto* single = std::get_if<float>(&value)) return static_cast<double>(*single);
  if (const auto* wide = std::get_if<double>(&value)) return *wide;
  if (const auto* large = std::get_if<uint64_t>(&value)) return static_cast<double>(*large);
  const std::optional<int64_t> whole = as_integer(value);
  if (!whole) return mismatch(key, "a number", value);
  return static_cast<double>(*whole);
}

Result<std::vector<int64_t>> integers_of(std::string_view key, const Array& array, size_t n_max) {
  if (size_of(array) > n_max)
    return fail("key '{}': {} elements, at most {} allowed", printable(key), size_of(array), n_max);
  return std::visit(
      [&](const auto& elements) -> Result<std::vector<int64_t>> {
        using T = typename std::decay_t<decltype(elements)>::value_type;
        if constexpr (std::integral<T>) {
          std::vector<int64_t> numbers;
          numbers.reserve(elements.size());
          for (const T element : elements) {
            if constexpr (std::same_as<T, uint64_t>) {
              if (element > static_cast<uint64_t>(INT64_MAX))
                return fail("key '{}': element {} does not fit 63 bits", printable(key), element);
            }
            numbers.push_back(static_cast<int64_t>(element));
          }
          return numbers;
        } else {
          return mismatch(key, "integers", describe_array(array));
        }
      },
      array);
}

}  // namespace

ValueType type_of(const Value& value) { return static_cast<ValueType>(value.index()); }

ValueType element_type_of(const Array& array) {
  const size_t index = array.index();  // the ids without Array itself
  return static_cast<ValueType>(index < static_cast<size_t>(ValueType::Array) ? index : index + 1);
}

std::string_view name_of(ValueType type) {
  CHECK(static_cast<size_t>(type) < std::size(kTypeNames));
  return kTypeNames[static_cast<size_t>(type)];
}

std::string describe_type(const Value& value) {
  if (const auto* array = std::get_if<Array>(&value)) return describe_array(*array);
  return std::string(name_of(type_of(value)));
}

size_t size_of(const Array& array) {
  return std::visit([](const auto& elements) { return elements.size(); }, array);
}

const Value* Metadata::find(std::string_view key) const {
  const auto found = index_.find(key);
  return found == index_.end() ? nullptr : &entries_[found->second].value;
}

Result<int64_t> Metadata::integer(std::string_view key, int64_t min, int64_t max) const {
  const Value* value = find(key);
  if (value == nullptr) return absent(key);
  return integer_of(key, *value, min, max);
}

Result<int64_t> Metadata::integer_or(std::string_view key, int64_t min, int64_t max,
                                     int64_t otherwise) const {
  const Value* value = find(key);
  if (value == nullptr) return otherwise;
  return integer_of(key, *value, min, max);
}

Result<double> Metadata::number(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr) return absent(key);
  return number_of(key, *value);
}

Result<double> Metadata::number_or(std::string_view key, double otherwise) const {
  const Value* value = find(key);
  if (value == nullptr) return otherwise;
  return number_of(key, *value);
}

Result<bool> Metadata::boolean_or(std::string_view key, bool otherwise) const {
  const Value* value = find(key);
  if (value == nullptr) return otherwise;
  const bool* boolean = std::get_if<bool>(value);
  if (boolean == nullptr) return mismatch(key, "a bool", *value);
  return *boolean;
}

Result<std::string_view> Metadata::text(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr) return absent(key);
  const auto* string = std::get_if<std::string>(value);
  if (string == nullptr) return mismatch(key, "a string", *value);
  return std::string_view(*string);
}

Result<std::span<const std::string_view>> Metadata::texts(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr) return absent(key);
  const auto* array = std::get_if<Array>(value);
  const auto* strings = array == nullptr ? nullptr : std::get_if<std::vector<std::string_view>>(array);
  if (strings == nullptr) return mismatch(key, "an array of strings", *value);
  return std::span<const std::string_view>(*strings);
}

Result<std::vector<int64_t>> Metadata::integers(std::string_view key, size_t n_if_scalar,
                                                size_t n_max) const {
  const Value* value = find(key);
  if (value == nullptr) return absent(key);
  if (const auto* array = std::get_if<Array>(value)) return integers_of(key, *array, n_max);
  if (const bool* boolean = std::get_if<bool>(value))
    return std::vector<int64_t>(n_if_scalar, *boolean ? 1 : 0);
  const int64_t number = TRY(integer_of(key, *value, INT64_MIN, INT64_MAX));
  return std::vector<int64_t>(n_if_scalar, number);
}

void Metadata::set(std::string_view key, Value value) {
  std::string name(key);  // `key` may be a view into the entry that goes
  remove(name);
  index_.emplace(name, entries_.size());
  entries_.push_back({std::move(name), std::move(value)});
}

void Metadata::set_texts(std::string_view key, std::span<const std::string> values) {
  std::vector<std::string_view> views;
  views.reserve(values.size());
  for (const std::string& value : values) views.push_back(arena_->emplace_back(value));
  set(key, Array(std::move(views)));
}

void Metadata::remove(std::string_view key) {
  const auto found = index_.find(key);
  if (found == index_.end()) return;
  const size_t position = found->second;
  index_.erase(found);
  entries_.erase(entries_.begin() + static_cast<ptrdiff_t>(position));
  for (auto& [name, i] : index_)
    if (i > position) --i;
}

}  // namespace carat::gguf
