// Split models: "PREFIX-00001-of-00003.gguf" and its siblings hold one model between them. Each is a whole
// GGUF file with its own tensors and data; the model's keys stand in the first. Three keys in every part say
// which it is.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/metadata.h"
#include "gguf/reader.h"

namespace carat::gguf {

// What a part says about itself. Numbers start at 0 here and in the keys, at 1 in names and messages.
struct SplitKeys {
  int no = 0, count = 1;
  std::optional<int64_t> n_tensors;  // of all parts together
};

// nullopt: a whole file (no keys, or one part of one). Errors: numbers that cannot be; they say only what is
// wrong.
Result<std::optional<SplitKeys>> read_split_keys(const Metadata& metadata);
bool is_split_key(std::string_view key);

// The path of part `no`: "PREFIX-00001-of-00003.gguf" for 0 of 3.
std::string split_path(std::string_view prefix, int no, int count);
// The prefix of a path that split_path() gives for these numbers; nullopt: it is not that part's path.
std::optional<std::string> split_prefix(std::string_view path, int no, int count);

// One File of all parts, in order. Errors, each with the path of the part concerned: a part that says that it
// is another, or another model's; a tensor in two parts; more or fewer tensors than the keys say.
Result<File> join(std::vector<File> parts);

}  // namespace carat::gguf
