// The shared rules of gguf/layout.h.
#include "gguf/layout.h"

#include "base/bytes.h"

namespace carat::gguf {

Result<uint64_t> tensor_bytes(TensorType type, const Shape& shape) {
  const TypeInfo& info = type_info(type);
  for (const int64_t dimension : shape)
    if (dimension < 1 || dimension > kMaxDimension)
      return fail("dimension {} is outside 1..{}", dimension, kMaxDimension);
  if (shape[0] % info.block_length != 0)
    return fail("a row of {} elements is not a whole number of {} blocks of {}", shape[0], info.name,
                info.block_length);
  uint64_t n_elements = 1, n_bytes = static_cast<uint64_t>(shape[0]) / info.block_length;
  bool overflow = false;
  for (const int64_t dimension : shape)
    overflow |= multiply_overflows(n_elements, static_cast<uint64_t>(dimension), &n_elements);
  overflow |= multiply_overflows(n_bytes, info.block_bytes, &n_bytes);
  for (size_t i = 1; i < shape.size(); ++i)
    overflow |= multiply_overflows(n_bytes, static_cast<uint64_t>(shape[i]), &n_bytes);
  constexpr uint64_t limit = uint64_t{1} << 62;
  if (overflow || n_elements >= limit || n_bytes >= limit)
    return fail("shape {} has more than 2^62 elements or bytes", to_string(shape));
  return n_bytes;
}

Result<void> check_key(std::string_view key) {
  if (key.empty()) return fail("the key is empty");
  if (key.size() > kMaxKeyBytes)
    return fail("the key has {} bytes, at most {} allowed", key.size(), kMaxKeyBytes);
  if (key.find('\0') != std::string_view::npos) return fail("the key contains a NUL byte");
  return {};
}

Result<void> check_tensor_name(std::string_view name) {
  if (name.empty()) return fail("the name is empty");
  if (name.size() > kMaxNameBytes)
    return fail("the name has {} bytes, at most {} allowed", name.size(), kMaxNameBytes);
  if (name.find('\0') != std::string_view::npos) return fail("the name contains a NUL byte");
  return {};
}

std::string printable(std::string_view text) {
  constexpr size_t n_shown_max = 80;
  std::string line;
  for (const char c : text.substr(0, n_shown_max)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f)
      line += c;
    else
      line += fmt::format("\\x{:02x}", byte);
  }
  if (text.size() > n_shown_max) line += "...";
  return line;
}

}  // namespace carat::gguf
