// SHA-256 (FIPS 180-4): names a text that people publish. Nothing secret depends on it.
#pragma once

#include <string>
#include <string_view>

namespace carat {

// 64 lower-case hexadecimal digits.
std::string sha256_hex(std::string_view text);

}  // namespace carat
