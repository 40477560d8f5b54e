// Metadata: the key-value part of a GGUF file, in file order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace carat::gguf {

// Ids of the file format.
enum class ValueType : uint32_t {
  U8 = 0, I8 = 1, U16 = 2, I16 = 3, U32 = 4, I32 = 5, F32 = 6, Bool = 7, String = 8, Array = 9,
  U64 = 10, I64 = 11, F64 = 12,
};

// Array elements. Strings are views: into the mapped file for a read file (hundreds of thousands of tokens cost
// no copies), into the metadata's own arena for a built one.
using Array = std::variant<std::vector<uint8_t>, std::vector<int8_t>, std::vector<uint16_t>, std::vector<int16_t>,
                           std::vector<uint32_t>, std::vector<int32_t>, std::vector<float>, std::vector<bool>,
                           std::vector<std::string_view>, std::vector<uint64_t>, std::vector<int64_t>,
                           std::vector<double>>;
using Value = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float, bool, std::string, Array,
                           uint64_t, int64_t, double>;

ValueType type_of(const Value& value);
ValueType element_type_of(const Array& array);
std::string_view name_of(ValueType type);
std::string describe_type(const Value& value);  // for messages: "u32", "array of string"
size_t size_of(const Array& array);             // elements

class Metadata {
 public:
  static constexpr size_t kMaxIntegers = size_t{1} << 22;  // a multiple of any vocabulary

  struct Entry {
    std::string key;
    Value value;
  };

  std::span<const Entry> entries() const { return entries_; }
  const Value* find(std::string_view key) const;  // nullptr: absent
  bool contains(std::string_view key) const { return find(key) != nullptr; }

  // Typed access. Any integer type that can hold the value is accepted for an integer; errors name the key, what
  // was expected and what was found. The `…_or` forms return the default only if the key is absent.
  Result<int64_t> integer(std::string_view key, int64_t min, int64_t max) const;
  Result<int64_t> integer_or(std::string_view key, int64_t min, int64_t max, int64_t otherwise) const;
  Result<double> number(std::string_view key) const;
  Result<double> number_or(std::string_view key, double otherwise) const;
  Result<bool> boolean_or(std::string_view key, bool otherwise) const;
  Result<std::string_view> text(std::string_view key) const;
  Result<std::span<const std::string_view>> texts(std::string_view key) const;
  // An array of any integer or bool type, or a scalar, which then stands `n_if_scalar` times. An array of more
  // than `n_max` elements is an error: widening could take eight times the file's memory.
  Result<std::vector<int64_t>> integers(std::string_view key, size_t n_if_scalar, size_t n_max = kMaxIntegers) const;

  // Building. Setting an existing key moves it to the end, as the format's reference writer does.
  // String views in an array must outlive the metadata; set_texts() is for those that may not.
  void set(std::string_view key, Value value);
  void set_texts(std::string_view key, std::span<const std::string> values);  // copies into the arena
  void remove(std::string_view key);

  // Keeps `storage`, into which the texts of arrays point, alive as long as this and its copies. May be called
  // for several.
  void keep_alive(std::shared_ptr<const void> storage) { storage_.push_back(std::move(storage)); }

 private:
  std::vector<Entry> entries_;
  // Looked up by view, without making a string.
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::unordered_map<std::string, size_t, Hash, std::equal_to<>> index_;
  std::shared_ptr<std::deque<std::string>> arena_ = std::make_shared<std::deque<std::string>>();
  std::vector<std::shared_ptr<const void>> storage_;
};

}  // namespace carat::gguf
