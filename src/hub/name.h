// Names of what lies on a model hub, as people type them: OWNER/REPO[@REVISION][:FILE or quantization].
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace carat::hub {

struct Repo {
  std::string owner, name;
  std::string id() const { return owner + "/" + name; }
  bool operator==(const Repo&) const = default;
};

struct Request {
  Repo repo;
  std::string revision = "main";  // a branch, a tag or a commit
  std::string what;               // a file's path, or a quantization ("Q4_0"); empty: the only model there is
};

// "hf:OWNER/REPO:FILE" stands for a local file wherever a command takes one.
inline constexpr std::string_view kPrefix = "hf:";
inline bool is_hub_name(std::string_view text) { return text.starts_with(kPrefix); }

// With or without the prefix. Errors say what was expected.
Result<Request> parse_request(std::string_view text);

// As one would type it, without the prefix.
std::string to_text(const Request& request);

// Whether a path from a server may be used below a folder: relative, no empty part, no "." or "..", no
// backslash, only printable bytes, and no longer than file systems take.
bool is_safe_path(std::string_view path);

// 40 hexadecimal digits in lower case.
bool is_commit(std::string_view text);

// Bytes from a server or a user as one printable line.
std::string printable(std::string_view text);

}  // namespace carat::hub
