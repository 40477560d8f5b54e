// Any bytes through every codec: as blocks they decode to something, as a row of floats they become blocks
// that decode to numbers; where there is no encoder, blocks under a given scale do. Nothing is read or written
// outside (the sanitizer watches).
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "quant/codec.h"

namespace {

using carat::Codec;

constexpr size_t kMaxElements = 1024;
constexpr float kFitsEverywhere = 2688;  // NVFP4's largest; below it no scale of any format overflows

// Copies, so that blocks and rows lie in heap memory of exactly their size.
void decode_bytes(const Codec& codec, const uint8_t* data, size_t size) {
  const auto& info = carat::type_info(codec.type);
  const size_t n_blocks = std::min(size / info.block_bytes, kMaxElements / info.block_length);
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  const std::vector<std::byte> blocks(bytes, bytes + n_blocks * info.block_bytes);
  std::vector<float> row(n_blocks * info.block_length);
  codec.decode(blocks.data(), static_cast<int64_t>(row.size()), row.data());
  if (codec.set_scale == nullptr) return;
  std::vector<std::byte> scaled = blocks;
  for (size_t b = 0; b < n_blocks; ++b) codec.set_scale(1, scaled.data() + b * info.block_bytes);
  codec.decode(scaled.data(), static_cast<int64_t>(row.size()), row.data());
  for (const float value : row) CHECK(std::isfinite(value));
}

// Without importance, and with the magnitudes themselves as weights.
void encode_floats(const Codec& codec, const std::vector<float>& values, bool sane) {
  const auto& info = carat::type_info(codec.type);
  const size_t n = std::min(values.size(), kMaxElements) / info.block_length * info.block_length;
  const auto length = static_cast<int64_t>(n);
  const std::vector<float> row(values.begin(), values.begin() + length);
  std::vector<float> weights(n), decoded(n);
  for (size_t i = 0; i < n; ++i) weights[i] = std::fabs(row[i]);
  std::vector<std::byte> blocks(n / info.block_length * info.block_bytes);
  for (const float* importance :
       {static_cast<const float*>(nullptr), static_cast<const float*>(weights.data())}) {
    codec.encode(row.data(), length, importance, blocks.data());
    codec.decode(blocks.data(), length, decoded.data());
    if (sane)
      for (const float value : decoded) CHECK(std::isfinite(value));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<float> raw(size / sizeof(float));
  if (!raw.empty()) std::memcpy(raw.data(), data, raw.size() * sizeof(float));
  std::vector<float> sane = raw;
  for (float& value : sane)
    value = std::isnan(value) ? 0 : std::clamp(value, -kFitsEverywhere, kFitsEverywhere);
  for (const Codec& codec : carat::codecs()) {
    decode_bytes(codec, data, size);
    if (codec.encode == nullptr) continue;
    encode_floats(codec, raw, false);
    encode_floats(codec, sane, true);
  }
  return 0;
}
