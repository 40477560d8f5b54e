// Names of files, compared as people compare them.
#include "hub/choose.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"

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

// "model-00002-of-00003.gguf": part 2 of 3. All parts share the text around the number, to the letter: a
// reader makes the others' names from one of them.
struct PartName {
  std::string family;  // the path without the number
  int number, count;
};

std::optional<PartName> part_name(std::string_view path) {
  constexpr std::string_view kSuffix = ".gguf";
  constexpr size_t kDigits = 5, kTail = 1 + kDigits + 4 + kDigits;  // "-00002-of-00003"
  if (path.size() < kSuffix.size() + kTail) return std::nullopt;
  const size_t begin = path.size() - kSuffix.size() - kTail;
  const std::string text = lower(path.substr(begin));
  const std::string_view tail = text;
  if (!tail.ends_with(kSuffix) || tail[0] != '-' || tail.substr(1 + kDigits, 4) != "-of-")
    return std::nullopt;
  const auto number = [&](size_t at) {
    int value = -1;
    const auto [end, error] = std::from_chars(tail.data() + at, tail.data() + at + kDigits, value);
    return error == std::errc{} && end == tail.data() + at + kDigits ? value : -1;
  };
  PartName part{std::string(path), number(1), number(kTail - kDigits)};
  part.family.erase(begin + 1, kDigits);
  if (part.number < 1 || part.count < part.number) return std::nullopt;
  return part;
}

// The parts of each split model by number: looked up for every path, so made once.
using PartIndex = std::map<std::string, std::map<int, const std::string*>, std::less<>>;

PartIndex index_parts(std::span<const std::string> paths) {
  PartIndex index;
  for (const std::string& path : paths)  // which may come in any order
    if (const auto part = part_name(path)) index[part->family].try_emplace(part->number, &path);
  return index;
}

// Collects models in the order of their first path, each once.
class Collector {
 public:
  explicit Collector(std::span<const std::string> paths) : index_(index_parts(paths)) {}

  void add(const std::string& path) {
    const auto part = part_name(path);
    if (!seen_.emplace(part.has_value(), part ? part->family : path).second) return;
    if (!part) return found_.whole.push_back({path});
    ModelFiles files;
    int first_missing = 1;
    for (const auto& [number, name] : index_.find(part->family)->second) {
      files.push_back(*name);
      if (number == first_missing) ++first_missing;
    }
    const int n_missing = part->count - static_cast<int>(files.size());
    if (n_missing == 0) return found_.whole.push_back(std::move(files));
    found_.incomplete.push_back({std::move(files), part->count, n_missing, first_missing});
  }
  bool empty() const { return found_.empty(); }
  FoundModels take() { return std::move(found_); }

 private:
  PartIndex index_;
  std::set<std::pair<bool, std::string>> seen_;  // split or not, and the family or the path
  FoundModels found_;
};

bool is_companion(std::string_view name, std::string_view wanted) {
  for (const std::string_view kind : {"mmproj", "imatrix"})
    if (name.find(kind) != std::string_view::npos && wanted.find(kind) == std::string_view::npos) return true;
  return false;
}

}  // namespace

std::string IncompleteModel::problem() const {
  if (n_missing == 1) return fmt::format("part {} of {} is missing", first_missing, n_parts);
  return fmt::format("{} of {} parts are missing, the first is part {}", n_missing, n_parts, first_missing);
}

FoundModels find_models(std::span<const std::string> paths, std::string_view what) {
  Collector found(paths);
  if (!what.empty()) {
    if (const auto path = std::find(paths.begin(), paths.end(), what); path != paths.end()) {
      found.add(*path);
      return found.take();
    }
    for (const std::string& path : paths)
      if (equal_ignoring_case(path, what) || equal_ignoring_case(name_of(path), what)) found.add(path);
    if (!found.empty()) return found.take();
  }
  const std::string wanted = lower(what);
  for (const std::string& path : paths) {
    const std::string name = lower(name_of(path));
    if (!name.ends_with(".gguf") || is_companion(name, wanted)) continue;
    const std::string_view stem = std::string_view(name).substr(0, name.size() - 5);
    if (wanted.empty() || has_word(stem, wanted)) found.add(path);
  }
  return found.take();
}

}  // namespace carat::hub
