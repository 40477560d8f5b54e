// Outputs: what is wrong with a file to be written is said before the work, not after it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "gguf/reader.h"

namespace carat::cli {

// Whether two paths lead to one file: the same inode where both exist, else the same place. Devices and pipes are
// never the same: writing one replaces nothing.
bool is_same_file(const std::string& a, const std::string& b);

// Errors: an output that cannot be created, or that is also an input or another output. Empty paths stand for files
// that nobody asked for.
Result<void> check_outputs(const std::vector<std::string>& outputs, const std::vector<std::string>& inputs);

// The same for an input that has been opened: all parts of a split model, and files whose names were resolved.
Result<void> check_outputs_beside(const std::vector<std::string>& outputs, const gguf::File& input);

}  // namespace carat::cli
