// The user's own files: who is whose parent, and from which training each of them comes.
#include <algorithm>
#include <climits>
#include <map>

#include "cli/common.h"
#include "cli/compare_files.h"
#include "cli/outputs.h"

namespace carat::cli {
namespace {

// Collects paths, each file once, however it is spelled.
class FileList {
 public:
  struct Entry {
    std::string path;
    int parent = -1;
    std::optional<Family> family;  // as far as it was said or follows
    bool pulled_in = false;        // named as a parent only
  };

  int find(const std::string& path) const {
    for (size_t i = 0; i < entries_.size(); ++i)
      if (entries_[i].path == path || is_same_file(entries_[i].path, path)) return static_cast<int>(i);
    return -1;
  }
  void add(const std::string& path, bool pulled_in) { entries_.push_back({path, -1, std::nullopt, pulled_in}); }
  Entry& operator[](int i) { return entries_[static_cast<size_t>(i)]; }
  std::vector<Entry>& entries() { return entries_; }

 private:
  std::vector<Entry> entries_;
};

struct Link {
  std::string file, parent;
};

Result<Link> parse_link(const std::string& rule) {
  const size_t equals = rule.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == rule.size())
    return fail("--parent: '{}': expected FILE=PARENT", rule);
  return Link{rule.substr(0, equals), rule.substr(equals + 1)};
}

Result<void> add_link(FileList& list, const Link& link) {
  const int file = list.find(link.file);
  if (file < 0) return fail("--parent: '{}' is not among the files", link.file);
  if (list.find(link.parent) < 0) list.add(link.parent, true);
  const int parent = list.find(link.parent);
  if (parent == file) return fail("--parent: '{}' cannot be its own parent", link.file);
  if (list[file].parent >= 0 && list[file].parent != parent)
    return fail("--parent: '{}' has two parents, '{}' and '{}'", link.file, list[list[file].parent].path, link.parent);
  list[file].parent = parent;
  return {};
}

Result<void> set_family(FileList& list, const std::vector<std::string>& paths, Family family, std::string_view flag) {
  for (const std::string& path : paths) {
    const int i = list.find(path);
    if (i < 0) return fail("{}: '{}' is not among the files", flag, path);
    if (list[i].family && *list[i].family != family) return fail("'{}' is in both --qat and --control", path);
    list[i].family = family;
  }
  return {};
}

// A parent that only --parent names comes from its children's training. Where children disagree, one of them is
// measured against a stranger, which the judgement warns of.
void inherit_families(std::vector<FileList::Entry>& entries) {
  for (size_t p = 0; p < entries.size(); ++p) {  // parents stand behind their children
    if (entries[p].family || !entries[p].pulled_in) continue;
    for (const auto& child : entries) {
      if (child.parent != static_cast<int>(p)) continue;
      const Family family = child.family.value_or(Family::original);
      if (!entries[p].family) entries[p].family = family;
      if (*entries[p].family != family) entries[p].family = Family::original;
    }
  }
}

// Equal numbers for equal seeds. Large ones are folded: they only tell trainings apart.
int seed_of(const gguf::Metadata& metadata) {
  const gguf::Value* value = metadata.find("carat.training.seed");
  const uint64_t* seed = value == nullptr ? nullptr : std::get_if<uint64_t>(value);
  if (seed == nullptr) return 0;
  return static_cast<int>(*seed <= INT_MAX ? *seed : (*seed ^ *seed >> 32) & INT_MAX);
}

Result<FileList> list_of(const NamedFiles& named) {
  FileList list;
  for (const std::string& path : named.files) list.add(path, false);
  for (const std::string& rule : named.parents) TRY(add_link(list, TRY(parse_link(rule))));
  TRY(set_family(list, named.qat, Family::qat, "--qat"));
  TRY(set_family(list, named.controls, Family::control, "--control"));
  inherit_families(list.entries());
  return list;
}

}  // namespace

std::vector<std::string> input_paths(const NamedFiles& named) {
  std::vector<std::string> paths = named.files;
  for (const std::string& rule : named.parents)
    if (const auto link = parse_link(rule)) paths.push_back(link->parent);
  return paths;
}

Result<std::vector<CompareFile>> open_user_files(const NamedFiles& named) {
  FileList list = TRY(list_of(named));
  std::vector<CompareFile> files;
  for (const FileList::Entry& entry : list.entries()) {
    CompareFile file;
    file.model = TRY(open_model(TRY(local_file(entry.path))));
    file.family = entry.family.value_or(Family::original);
    file.parent = entry.parent;
    if (file.family != Family::original) file.seed = seed_of(file.model->file.metadata);
    files.push_back(std::move(file));
  }
  return files;
}

}  // namespace carat::cli
