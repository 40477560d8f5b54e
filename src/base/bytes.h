// ByteCursor: the only way Carat reads numbers and strings out of bytes it does not trust. Every read is
// checked against what remains, and every count is checked before anything is allocated for it.
// Safe on untrusted bytes.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/result.h"

namespace carat {

static_assert(std::endian::native == std::endian::little, "Carat reads little-endian files in place");

class ByteCursor {
 public:
  // `name` is the file's name for messages; both must outlive the cursor.
  ByteCursor(std::span<const std::byte> bytes, std::string_view name) : bytes_(bytes), name_(name) {}

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return bytes_.size() - position_; }
  std::string_view name() const { return name_; }

  // Reads one little-endian number; `what` names it in the message.
  template <class T>
  Result<T> read(std::string_view what) {
    static_assert(std::is_arithmetic_v<T>);
    if (remaining() < sizeof(T)) return truncated(what, sizeof(T));
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  // A view of the next `count` bytes, valid as long as the underlying bytes.
  Result<std::span<const std::byte>> take(uint64_t count, std::string_view what) {
    if (remaining() < count) return truncated(what, count);
    const auto view = bytes_.subspan(position_, count);
    position_ += count;
    return view;
  }

  Result<std::string_view> take_text(uint64_t count, std::string_view what) {
    const auto view = TRY(take(count, what));
    return std::string_view(reinterpret_cast<const char*>(view.data()), view.size());
  }

  Error truncated(std::string_view what, uint64_t wanted) const {
    return fail("{}: truncated at byte {}: {} needs {} bytes, {} remain", name_, position_, what, wanted,
                remaining());
  }

 private:
  std::span<const std::byte> bytes_;
  std::string_view name_;
  uint64_t position_ = 0;
};

// a * b and a + b on numbers from a file. True: the result does not fit 64 bits (and must not be used).
[[nodiscard]] inline bool multiply_overflows(uint64_t a, uint64_t b, uint64_t* product) {
  return __builtin_mul_overflow(a, b, product);
}
[[nodiscard]] inline bool add_overflows(uint64_t a, uint64_t b, uint64_t* sum) {
  return __builtin_add_overflow(a, b, sum);
}

}  // namespace carat
