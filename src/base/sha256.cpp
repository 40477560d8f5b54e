// OpenSSL's side of base/sha256.h.
#include "base/sha256.h"

#include <openssl/evp.h>

#include <algorithm>

#include "base/check.h"

namespace carat {

struct Digest::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(evp); }
};

Digest::Digest(Algorithm algorithm) : context_(std::make_unique<Context>()) {
  CHECK(context_->evp != nullptr);
  const EVP_MD* kind = algorithm == Algorithm::Sha256 ? EVP_sha256() : EVP_sha1();
  CHECK(EVP_DigestInit_ex(context_->evp, kind, nullptr) == 1);
}

Digest::~Digest() = default;
Digest::Digest(Digest&&) noexcept = default;

void Digest::update(std::span<const std::byte> bytes) {
  CHECK(EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size()) == 1);
}

std::string Digest::hex() {
  unsigned char raw[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  CHECK(EVP_DigestFinal_ex(context_->evp, raw, &size) == 1);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    text += kDigits[raw[i] >> 4];
    text += kDigits[raw[i] & 15];
  }
  return text;
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Digest digest;
  digest.update(bytes);
  return digest.hex();
}

std::string sha256_hex(std::string_view text) {
  return sha256_hex(std::as_bytes(std::span(text.data(), text.size())));
}

std::optional<std::string> sha256_hex(std::span<const std::byte> bytes, const Progress& progress) {
  constexpr size_t kSlice = size_t{4} << 20;
  Digest digest;
  for (size_t done = 0; done < bytes.size();) {
    if (interrupted()) return std::nullopt;
    const size_t n = std::min(kSlice, bytes.size() - done);
    digest.update(bytes.subspan(done, n));
    done += n;
    if (progress) progress(done, bytes.size(), "hashing");
  }
  return digest.hex();
}

bool is_sha256(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace carat
