// Names of files, compared as people compare them.
#include "hub/choose.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/text.h"
#include "hub/name.h"

namespace carat::hub {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return result;
}

std::string_view name_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// `word` in `text`, both in lower case, where neither the letters before nor those behind belong to it. What
// follows an underscore belongs to a quantization's name: Q4_K is not in Q4_K_M; what precedes one does not:
// E4B_q4_0.
bool has_word(std::string_view text, std::string_view word) {
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const size_t end = at + word.size();
    const bool begins = at == 0 || !is_letter_or_digit(text[at - 1]);
    const bool ends = end == text.size() || (!is_letter_or_digit(text[end]) && text[end] != '_');
    if (begins && ends) return true;
  }
  return false;
}

// "model-00002-of-00003.gguf": part 2 of 3 of "model".
struct PartName {
  std::string stem;
  int number, count;
};

std::optional<PartName> part_name(std::string_view path) {
  constexpr std::string_view kSuffix = ".gguf";
  constexpr size_t kDigits = 5, kTail = 1 + kDigits + 4 + kDigits;  // "-00002-of-00003"
  const std::string text = lower(path);
  if (!text.ends_with(kSuffix) || text.size() < kSuffix.size() + kTail) return std::nullopt;
  const std::string_view tail = std::string_view(text).substr(text.size() - kSuffix.size() - kTail, kTail);
  const auto number = [&](size_t at) {
    int value = -1;
    const auto [end, error] = std::from_chars(tail.data() + at, tail.data() + at + kDigits, value);
    return error == std::errc{} && end == tail.data() + at + kDigits ? value : -1;
  };
  if (tail[0] != '-' || tail.substr(1 + kDigits, 4) != "-of-") return std::nullopt;
  PartName part{std::string(path.substr(0, path.size() - kSuffix.size() - kTail)), number(1),
                number(kTail - kDigits)};
  if (part.number < 1 || part.count < part.number) return std::nullopt;
  return part;
}

// The model that a path belongs to, whole.
Result<ModelFiles> whole_model(std::span<const std::string> paths, const std::string& path) {
  const auto part = part_name(path);
  if (!part) return ModelFiles{path};
  ModelFiles files;
  for (const std::string& other : paths) {  // paths may come in any order
    const auto name = part_name(other);
    if (name && name->stem == part->stem && name->count == part->count) files.push_back(other);
  }
  std::sort(files.begin(), files.end(), [](const std::string& a, const std::string& b) {
    return part_name(a)->number < part_name(b)->number;
  });
  for (size_t i = 0; i < files.size(); ++i)
    if (part_name(files[i])->number != static_cast<int>(i) + 1)
      return fail("'{}' has {} parts, part {} is missing", printable(part->stem), part->count, i + 1);
  if (static_cast<int>(files.size()) != part->count)
    return fail("'{}' has {} parts, part {} is missing", printable(part->stem), part->count,
                files.size() + 1);
  return files;
}

bool is_companion(std::string_view name, std::string_view wanted) {
  for (const std::string_view kind : {"mmproj", "imatrix"})
    if (name.find(kind) != std::string_view::npos && wanted.find(kind) == std::string_view::npos) return true;
  return false;
}

}  // namespace

Result<std::vector<ModelFiles>> find_models(std::span<const std::string> paths, std::string_view what) {
  std::vector<ModelFiles> found;
  const auto add = [&](const std::string& path) -> Result<void> {
    ModelFiles files = TRY(whole_model(paths, path));
    if (std::find(found.begin(), found.end(), files) == found.end()) found.push_back(std::move(files));
    return {};
  };
  if (!what.empty()) {
    for (const std::string& path : paths)
      if (path == what) {
        TRY(add(path));
        return found;
      }
    for (const std::string& path : paths)
      if (equal_ignoring_case(path, what) || equal_ignoring_case(name_of(path), what)) TRY(add(path));
    if (!found.empty()) return found;
  }
  const std::string wanted = lower(what);
  for (const std::string& path : paths) {
    const std::string name = lower(name_of(path));
    if (!name.ends_with(".gguf") || is_companion(name, wanted)) continue;
    const std::string_view stem = std::string_view(name).substr(0, name.size() - 5);
    if (wanted.empty() || has_word(stem, wanted)) TRY(add(path));
  }
  return found;
}

}  // namespace carat::hub
