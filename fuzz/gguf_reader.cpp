// Any bytes: the GGUF reader must refuse them in one line, or hand out views that are safe to read.
#include "gguf/reader.h"

#include <cstdint>
#include <memory>

namespace {

uint64_t touch(const carat::gguf::File& file) {
  uint64_t sum = 0;
  for (const carat::Tensor& tensor : file.tensors) {
    CHECK(file.find(tensor.name) == &tensor);
    for (const std::byte b : tensor.bytes()) sum += static_cast<uint64_t>(b);
  }
  for (const auto& entry : file.metadata.entries()) {
    CHECK(file.metadata.find(entry.key) == &entry.value);
    if (const auto texts = file.metadata.texts(entry.key))
      for (const std::string_view text : *texts)
        for (const char c : text) sum += static_cast<unsigned char>(c);
    if (const auto numbers = file.metadata.integers(entry.key, 1)) sum += numbers->size();
    if (const auto number = file.metadata.number(entry.key)) sum += *number > 0 ? 1 : 0;
  }
  return sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = carat::gguf::parse({reinterpret_cast<const std::byte*>(data), size}, "fuzz");
  if (!file) {
    const std::string& message = file.error().message;
    CHECK(message.rfind("fuzz: ", 0) == 0);
    for (const char c : message) CHECK(c >= 0x20 && c < 0x7f);
    return 0;
  }
  volatile uint64_t sink = touch(*file);
  (void)sink;
  return 0;
}
