// Holds back the last bytes of a text while they are the beginning of a character.
#include "engine/utf8_stream.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace carat {

std::string Utf8Stream::push(std::string_view bytes) {
  pending_ += bytes;
  // A lead byte among the last three that promises more bytes than follow it.
  for (size_t n = 1; n <= std::min<size_t>(3, pending_.size()); ++n) {
    const auto byte = static_cast<unsigned char>(pending_[pending_.size() - n]);
    if ((byte & 0xc0u) == 0x80u) continue;
    const int length = std::countl_one(byte);
    if (length < 2 || length > 4 || static_cast<size_t>(length) <= n) break;
    const std::string whole = pending_.substr(0, pending_.size() - n);
    pending_.erase(0, whole.size());
    return whole;
  }
  return flush();
}

std::string Utf8Stream::flush() { return std::exchange(pending_, {}); }

}  // namespace carat
