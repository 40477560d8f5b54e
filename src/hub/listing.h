// The list of a repository's files, as a server gives it: untrusted JSON becomes checked names, sizes and
// hashes. Safe on any bytes (fuzz/hub_listing.cpp).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace carat::hub {

struct RemoteFile {
  std::string path;      // safe (is_safe_path)
  uint64_t n_bytes = 0;  // at most kMaxFileBytes
  std::string blob;      // SHA-256 of the content; of small files kept in git: SHA-1 of the blob
  bool is_git_blob() const { return blob.size() == 40; }
};

inline constexpr uint64_t kMaxFileBytes = uint64_t{1} << 45;  // 35 TB: more is a lie
inline constexpr size_t kMaxListingBytes = size_t{16} << 20;
inline constexpr size_t kMaxFiles = 100'000;

// The answer of /api/models/OWNER/REPO/tree/REVISION: folders are left out. Errors say what is wrong, not
// where it comes from.
Result<std::vector<RemoteFile>> parse_listing(std::string_view json);

}  // namespace carat::hub
