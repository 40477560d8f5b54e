// Reads the split keys, makes and takes apart the names, and joins parsed parts.
#include "gguf/split.h"

#include <array>
#include <iterator>
#include <utility>

#include "gguf/layout.h"

namespace carat::gguf {
namespace {

constexpr std::string_view kNo = "split.no", kCount = "split.count", kTensors = "split.tensors.count";

std::string part_name(const SplitKeys& keys) { return fmt::format("part {} of {}", keys.no + 1, keys.count); }

// Part `i` of `n` is what it should be: its own number, as many siblings, and the same model's total.
Result<void> check_part(const File& part, size_t i, size_t n, const SplitKeys& first) {
  const auto read = read_split_keys(part.metadata);
  if (!read) return fail("{}: {}", part.path, read.error().message);
  const SplitKeys keys = read->value_or(SplitKeys{});
  if (keys.no != static_cast<int>(i) || keys.count != static_cast<int>(n))
    return fail("{}: its keys say {}, expected part {} of {} as its name says", part.path, part_name(keys),
                i + 1, n);
  if (keys.n_tensors && keys.n_tensors != first.n_tensors)
    return fail("{}: key '{}': {}, expected {} as in part 1: of another model?", part.path, kTensors,
                *keys.n_tensors, *first.n_tensors);
  return {};
}

Result<void> add_tensors(const File& part, File& whole) {
  if (part.tensors.size() > kMaxTensors - whole.tensors.size())
    return fail("{}: more than {} tensors in all parts together", part.path, kMaxTensors);
  for (const Tensor& tensor : part.tensors) {
    const auto [seen, is_new] = whole.index.emplace(tensor.name, whole.tensors.size());
    if (!is_new) {
      size_t other = 0;
      while (whole.parts[other].first_tensor + whole.parts[other].n_tensors <= seen->second) ++other;
      return fail("{}: tensor '{}': occurs in part {} too", part.path, printable(tensor.name), other + 1);
    }
    whole.tensors.push_back(tensor);
  }
  return {};
}

}  // namespace

Result<std::optional<SplitKeys>> read_split_keys(const Metadata& metadata) {
  const int64_t count = TRY(metadata.integer_or(kCount, 0, UINT16_MAX, 1));
  if (count <= 1) return std::optional<SplitKeys>();
  SplitKeys keys{.count = static_cast<int>(count)};
  keys.no = static_cast<int>(TRY(metadata.integer(kNo, 0, count - 1)));
  if (metadata.contains(kTensors))
    keys.n_tensors = TRY(metadata.integer(kTensors, 0, static_cast<int64_t>(kMaxTensors)));
  return std::optional(keys);
}

bool is_split_key(std::string_view key) { return key == kNo || key == kCount || key == kTensors; }

std::string split_path(std::string_view prefix, int no, int count) {
  return fmt::format("{}-{:05}-of-{:05}.gguf", prefix, no + 1, count);
}

std::optional<std::string> split_prefix(std::string_view path, int no, int count) {
  const std::string ending = split_path("", no, count);
  if (!path.ends_with(ending)) return std::nullopt;
  return std::string(path.substr(0, path.size() - ending.size()));
}

Result<File> join(std::vector<File> parts) {
  CHECK(!parts.empty());
  const auto first = read_split_keys(parts[0].metadata);
  if (!first) return fail("{}: {}", parts[0].path, first.error().message);
  const SplitKeys keys = first->value_or(SplitKeys{});
  if (!keys.n_tensors) return fail("{}: key '{}' is missing", parts[0].path, kTensors);
  File whole;
  whole.path = parts[0].path;
  whole.version = parts[0].version;
  for (size_t i = 0; i < parts.size(); ++i) {
    CHECK(parts[i].parts.size() == 1);
    TRY(check_part(parts[i], i, parts.size(), keys));
    Part part = std::move(parts[i].parts[0]);
    part.first_tensor = whole.tensors.size();
    TRY(add_tensors(parts[i], whole));
    whole.parts.push_back(std::move(part));
    whole.n_bytes += parts[i].n_bytes;
  }
  if (static_cast<int64_t>(whole.tensors.size()) != *keys.n_tensors)
    return fail("{}: {} tensors in {} parts, expected {} (key '{}')", whole.path, whole.tensors.size(),
                parts.size(), *keys.n_tensors, kTensors);
  whole.metadata = std::move(parts[0].metadata);
  return whole;
}

}  // namespace carat::gguf
