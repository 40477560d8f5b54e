// Strict on purpose: these names become folders and addresses.
#include "hub/name.h"

#include <algorithm>

namespace carat::hub {
namespace {

constexpr size_t kMaxNameBytes = 96, kMaxRevisionBytes = 200, kMaxPathBytes = 1000, kMaxPartBytes = 255;

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
         c == '.';
}

// The hub's own rules; "--" would also make two names one folder.
bool is_name(std::string_view name) {
  const auto is_edge = [](char c) { return c == '-' || c == '.'; };
  return !name.empty() && name.size() <= kMaxNameBytes &&
         std::all_of(name.begin(), name.end(), is_name_char) && !is_edge(name.front()) &&
         !is_edge(name.back()) && name.find("--") == std::string_view::npos &&
         name.find("..") == std::string_view::npos;
}

bool is_revision(std::string_view text) {
  return text.size() <= kMaxRevisionBytes && is_safe_path(text) &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_name_char(c) || c == '/'; });
}

Error expected(std::string_view text) {
  return fail("'{}': expected OWNER/REPO, OWNER/REPO:FILE or OWNER/REPO:QUANTIZATION", printable(text));
}

}  // namespace

Result<Request> parse_request(std::string_view text) {
  const std::string_view whole = text;
  if (is_hub_name(text)) text.remove_prefix(kPrefix.size());
  Request request;
  if (const size_t colon = text.find(':'); colon != std::string_view::npos) {
    request.what = text.substr(colon + 1);
    text = text.substr(0, colon);
    if (!is_safe_path(request.what)) return expected(whole);
  }
  if (const size_t at = text.find('@'); at != std::string_view::npos) {
    request.revision = text.substr(at + 1);
    text = text.substr(0, at);
    if (!is_revision(request.revision))
      return fail("'{}': '{}' is no revision", printable(whole), printable(request.revision));
  }
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return expected(whole);
  request.repo = {std::string(text.substr(0, slash)), std::string(text.substr(slash + 1))};
  if (!is_name(request.repo.owner) || !is_name(request.repo.name)) return expected(whole);
  return request;
}

std::string to_text(const Request& request) {
  std::string text = request.repo.id();
  if (request.revision != "main") text += fmt::format("@{}", request.revision);
  if (!request.what.empty()) text += fmt::format(":{}", request.what);
  return text;
}

bool is_safe_path(std::string_view path) {
  if (path.empty() || path.size() > kMaxPathBytes) return false;
  for (const char c : path)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\') return false;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part.empty() || part == "." || part == ".." || part.size() > kMaxPartBytes) return false;
    begin = end + 1;
  }
  return true;
}

bool is_commit(std::string_view text) {
  return text.size() == 40 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string printable(std::string_view text) {
  constexpr size_t kMaxShown = 200;
  std::string out;
  for (const char c : text.substr(0, kMaxShown)) {
    if (c >= 0x20 && c < 0x7f)
      out += c;
    else
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return text.size() > kMaxShown ? out + "..." : out;
}

}  // namespace carat::hub
