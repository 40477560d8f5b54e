// The only file of this layer that knows nlohmann-json.
#include "hub/listing.h"

#include <nlohmann/json.hpp>

#include "base/sha256.h"
#include "hub/name.h"

namespace carat::hub {
namespace {

using Json = nlohmann::json;

constexpr int kMaxDepth = 16;

// Before anything is built from it.
bool is_too_deep(std::string_view json) {
  int depth = 0;
  bool in_text = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_text) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_text = false;
    } else if (c == '"') {
      in_text = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

const std::string* text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? &found->get_ref<const std::string&>() : nullptr;
}

Result<uint64_t> size_of(const Json& object, std::string_view path) {
  const auto found = object.find("size");
  if (found == object.end() || !found->is_number_unsigned() || found->get<uint64_t>() > kMaxFileBytes)
    return fail("the list of files gives no believable size of '{}'", printable(path));
  return found->get<uint64_t>();
}

Result<RemoteFile> parse_file(const Json& entry) {
  const std::string* path = text_of(entry, "path");
  if (path == nullptr || !is_safe_path(*path))
    return fail("the list of files has the unsafe name '{}'", path == nullptr ? "" : printable(*path));
  // Not within braces: what they have already built would be lost when TRY returns.
  RemoteFile file;
  file.n_bytes = TRY(size_of(entry, *path));
  file.path = *path;
  const auto lfs = entry.find("lfs");
  const bool is_lfs = lfs != entry.end() && lfs->is_object();
  if (is_lfs && TRY(size_of(*lfs, *path)) != file.n_bytes)
    return fail("the list of files gives two sizes of '{}'", printable(*path));
  const std::string* hash = text_of(is_lfs ? *lfs : entry, "oid");
  if (hash == nullptr || !(is_lfs ? is_sha256(*hash) : is_commit(*hash)))
    return fail("the list of files gives no hash of '{}'", printable(*path));
  file.blob = *hash;
  return file;
}

}  // namespace

Result<std::vector<RemoteFile>> parse_listing(std::string_view json) {
  if (json.size() > kMaxListingBytes)
    return fail("the list of files is longer than {} bytes", kMaxListingBytes);
  if (is_too_deep(json)) return fail("the list of files is no list");
  const Json list = Json::parse(json, nullptr, false);
  if (!list.is_array()) return fail("the list of files is no list");
  if (list.size() > kMaxFiles) return fail("the list of files has more than {} entries", kMaxFiles);
  std::vector<RemoteFile> files;
  for (const Json& entry : list) {
    if (!entry.is_object()) return fail("the list of files holds something that is no file");
    const std::string* type = text_of(entry, "type");
    if (type == nullptr || *type == "file") files.push_back(TRY(parse_file(entry)));
  }
  return files;
}

}  // namespace carat::hub
