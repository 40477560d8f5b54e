// Any bytes as the parts of a split model: 4 bytes of length, then a part, and so on. They are refused in one
// line, or become one file whose tensors are safe to read.
#include "gguf/split.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace {

using namespace carat;

void check_line(const std::string& message) {
  CHECK(message.rfind("part ", 0) == 0);
  for (const char c : message) CHECK(c >= 0x20 && c < 0x7f);
}

void check_joined(const gguf::File& file) {
  volatile uint64_t sum = 0;
  size_t n_tensors = 0;
  for (const gguf::Part& part : file.parts) {
    CHECK(part.first_tensor == n_tensors);
    n_tensors += part.n_tensors;
  }
  CHECK(n_tensors == file.tensors.size() && n_tensors == file.index.size());
  for (const Tensor& tensor : file.tensors) {
    CHECK(file.find(tensor.name) == &tensor);
    for (const std::byte b : tensor.bytes()) sum = sum + static_cast<uint64_t>(b);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::span<const std::byte> rest(reinterpret_cast<const std::byte*>(data), size);
  std::vector<gguf::File> parts;
  while (rest.size() >= sizeof(uint32_t) && parts.size() < 64) {
    uint32_t length = 0;
    std::memcpy(&length, rest.data(), sizeof length);
    rest = rest.subspan(sizeof length);
    const auto bytes = rest.first(std::min<size_t>(length, rest.size()));
    rest = rest.subspan(bytes.size());
    auto part = gguf::parse_part(bytes, fmt::format("part {}", parts.size() + 1));
    if (!part) {
      check_line(part.error().message);
      return 0;
    }
    parts.push_back(part.take());
  }
  if (parts.empty()) return 0;
  const auto file = gguf::join(std::move(parts));
  if (file)
    check_joined(*file);
  else
    check_line(file.error().message);
  return 0;
}
