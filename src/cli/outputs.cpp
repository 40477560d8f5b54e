// Paths compared by inode, and outputs tried out.
#include "cli/outputs.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/file.h"

namespace carat::cli {
namespace {

namespace fs = std::filesystem;

// The path without links and dots, as far as it exists.
fs::path place_of(const std::string& path) {
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error);
  const fs::path place = fs::weakly_canonical(absolute, error);
  return error ? absolute.lexically_normal() : place;
}

Result<void> check_creatable(const std::string& path) {
  struct stat status {};
  const bool is_device = ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
  if (is_device) {  // not opened: somebody may be waiting at the other end
    if (::access(path.c_str(), W_OK) != 0) return fail("{}: cannot write: {}", path, std::strerror(errno));
    return {};
  }
  if (path.ends_with('/')) return fail("{}: is a directory, expected a file name", path);
  TRY(OutputFile::create(path));  // dropped without commit(), it leaves nothing
  return {};
}

}  // namespace

bool is_same_file(const std::string& a, const std::string& b) {
  struct stat x {}, y {};
  const bool a_exists = ::stat(a.c_str(), &x) == 0, b_exists = ::stat(b.c_str(), &y) == 0;
  if (a_exists && b_exists) return S_ISREG(x.st_mode) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
  return a_exists == b_exists && place_of(a) == place_of(b);
}

Result<void> check_outputs(const std::vector<std::string>& outputs, const std::vector<std::string>& inputs) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string& output = outputs[i];
    if (output.empty()) continue;
    for (const std::string& input : inputs)
      if (!input.empty() && is_same_file(output, input))
        return fail("{}: would be overwritten while it is read; expected another output", output);
    for (size_t j = 0; j < i; ++j)
      if (!outputs[j].empty() && is_same_file(output, outputs[j]))
        return fail("{}: two outputs would go there", output);
    TRY(check_creatable(output));
  }
  return {};
}

Result<void> check_outputs_beside(const std::vector<std::string>& outputs, const gguf::File& input) {
  std::vector<std::string> paths;
  for (const gguf::Part& part : input.parts) paths.push_back(part.path);
  return check_outputs(outputs, paths);
}

}  // namespace carat::cli
