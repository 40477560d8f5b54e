// Digests of files: what tells a whole download from a damaged one. Computed by OpenSSL, which uses the CPU's
// SHA instructions; its types stay in sha256.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/progress.h"

namespace carat {

class Digest {
 public:
  enum class Algorithm { Sha256, Sha1 };  // SHA-1: only as git names its blobs
  explicit Digest(Algorithm algorithm = Algorithm::Sha256);
  ~Digest();
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) = delete;

  void update(std::span<const std::byte> bytes);
  void update(std::string_view text) { update(std::as_bytes(std::span(text.data(), text.size()))); }
  std::string hex();  // lower case; called once, at the end

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string sha256_hex(std::span<const std::byte> bytes);
std::string sha256_hex(std::string_view text);

// In slices, so that it can be watched and stopped; nothing: interrupted (base/progress.h). `progress` may be
// empty; it is called from this thread with bytes.
std::optional<std::string> sha256_hex(std::span<const std::byte> bytes, const Progress& progress);

// 64 lower-case hexadecimal digits.
bool is_sha256(std::string_view text);

}  // namespace carat
