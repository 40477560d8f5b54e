// Model: an open Gemma 4 file: mapping, config, weights, tokenizer. Immutable; any number of sessions share
// one.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "gguf/reader.h"
#include "model/config.h"
#include "model/tokenizer.h"
#include "model/weights.h"

namespace carat {

struct Model {
  gguf::File file;
  Config config;
  Weights weights;
  Tokenizer tokenizer;

  uint64_t weight_bytes() const;     // tensor data
  double bits_per_weight() const;    // over all tensors
  std::string type_summary() const;  // "Q4_0 (Q6_K)": main type by bytes, then others of two dimensions
};

// Opens, checks everything, copies nothing. Errors are one line with the file's name.
Result<std::shared_ptr<const Model>> open_model(const std::string& path);
// The same for a parsed file, e.g. one in memory.
Result<std::shared_ptr<const Model>> make_model(gguf::File file);

}  // namespace carat
