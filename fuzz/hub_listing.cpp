// Any bytes as a hub's list of files: refused in one printable line, or names that are safe to use below a
// folder, and choices among them that are theirs.
#include "hub/listing.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "hub/choose.h"
#include "hub/name.h"

using namespace carat::hub;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto files = parse_listing(text);
  if (!files) {
    for (const char c : files.error().message) CHECK(c >= 0x20 && c < 0x7f);
    return 0;
  }
  std::vector<std::string> paths;
  for (const RemoteFile& file : *files) {
    CHECK(is_safe_path(file.path) && file.n_bytes <= kMaxFileBytes &&
          (file.blob.size() == 40 || file.blob.size() == 64));
    paths.push_back(file.path);
  }
  std::vector<std::string> questions{"", "Q4_0", "mmproj"};
  if (!paths.empty()) questions.push_back(paths.front());
  const auto check = [&](const ModelFiles& model) {
    CHECK(!model.empty());
    for (const std::string& path : model) CHECK(std::find(paths.begin(), paths.end(), path) != paths.end());
  };
  for (const std::string& question : questions) {
    const FoundModels found = find_models(paths, question);
    for (const ModelFiles& model : found.whole) check(model);
    for (const IncompleteModel& model : found.incomplete) {
      check(model.files);
      CHECK(model.first_missing >= 1 && model.first_missing <= model.n_parts && model.n_missing >= 1);
    }
  }
  return 0;
}
