// What several commands share: engine flags, token lists, opening a model with a backend.
#pragma once

#include <CLI/CLI.hpp>

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernels/backend.h"
#include "model/kv_cache.h"
#include "model/model.h"

namespace carat::cli {

struct EngineFlags {
  int n_threads = 0;  // 0: all CPUs
  bool exact = false;
  std::string kv = "f16";

  void add_to(CLI::App& app);
  int thread_count() const;
  CpuOptions cpu_options() const;
  Result<TensorType> kv_type() const;
};

// "2,300,337" -> ids, each checked against the vocabulary.
Result<std::vector<Token>> parse_token_list(const std::string& text, int64_t n_vocab);

// "f16,q8_0" -> types that a cache can have.
Result<std::vector<TensorType>> parse_kv_types(const std::string& text);

// Prints text (JSON, usually) and a newline to standard output.
void print_line(const std::string& text);

}  // namespace carat::cli
