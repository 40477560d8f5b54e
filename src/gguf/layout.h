// Layout: the numbers and rules of the container that reader and writer share, so that one cannot accept what
// the other refuses.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gguf/metadata.h"
#include "tensor/tensor.h"

namespace carat::gguf {

inline constexpr std::string_view kMagic = "GGUF";
inline constexpr uint32_t kVersion = 3;  // written; 2 has the same layout and is read too
inline constexpr std::string_view kAlignmentKey = "general.alignment";

inline constexpr uint64_t kAlignment = 32;  // written, and read where the file does not say
inline constexpr uint64_t kMinAlignment = 8, kMaxAlignment = 64 * 1024;

// Far above any real model, far below what could exhaust a machine.
inline constexpr uint64_t kMaxKeys = 100'000, kMaxTensors = 100'000;
inline constexpr uint64_t kMaxKeyBytes = 65'535, kMaxNameBytes = 63;
inline constexpr uint64_t kMaxDimensions = 4;
inline constexpr int64_t kMaxDimension = (int64_t{1} << 40) - 1;
inline constexpr uint64_t kMaxMetadataBytes = uint64_t{256} << 20;  // header, keys and tensor infos together

// The next multiple of `alignment`, a power of two. `n` is at most 2^63.
constexpr uint64_t padded(uint64_t n, uint64_t alignment) { return (n + alignment - 1) & ~(alignment - 1); }

// The bytes of a tensor's data, computed without wrapping and below 2^62. The error says only what is wrong.
Result<uint64_t> tensor_bytes(TensorType type, const Shape& shape);

// Length and NUL rules of keys and tensor names. The error says only what is wrong.
Result<void> check_key(std::string_view key);
Result<void> check_tensor_name(std::string_view name);

// Text from a file as one printable line for messages and terminals: everything but printable ASCII (so also DEL
// and the control characters above 0x7f) as \xNN, and only the first 80 bytes.
std::string printable(std::string_view text);

}  // namespace carat::gguf
