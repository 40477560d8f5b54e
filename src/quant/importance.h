// Importance matrices: how much each input column of a model's matrices matters, measured as the sum of
// squares of what a text sent through it (the diagonal of the inputs' second moments). Both file formats that
// llama.cpp reads and writes: GGUF, and the older one without a magic number (".dat").
//
// Safe on untrusted bytes (fuzz/quant_importance.cpp; every prefix of a valid file is tested).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/tensor.h"

namespace carat {

// Of the inputs of one matrix, or of each of a stack of matrices (experts).
struct InputSquares {
  int64_t n_columns = 0;      // of one matrix
  std::vector<float> sums;    // [n_matrices, n_columns], each >= 0
  std::vector<float> counts;  // [n_matrices] rows (tokens) that were summed

  int64_t n_matrices() const { return static_cast<int64_t>(counts.size()); }
  // Mean squares like `sums`: what Codec::encode takes, one row for each matrix. A matrix that no token
  // reached (an expert) gets ones.
  std::vector<float> means() const;
  // Whether these are inputs of this tensor [in, out, n]. Files of the older format do not say how many
  // matrices a tensor has: there only the number of values must be right.
  bool fits(const Tensor& tensor) const;
};

struct ImportanceMatrix {
  std::string path;                   // where it was read from; empty: it was made here
  std::vector<std::string> datasets;  // names of the texts
  int64_t n_chunks = 0;               // pieces of text that went through the model …
  int64_t chunk_length = 0;           // … each of so many tokens; 0: unknown (older files)
  std::map<std::string, InputSquares, std::less<>> entries;  // by the tensor's name
};

enum class ImportanceFormat { Gguf, Legacy };

// Either format, told apart by the magic number. Errors, one line each: truncated, no entry at all, a name
// twice, a sum without counts or of another shape, numbers that are negative or not finite, a GGUF file that
// is a model.
Result<ImportanceMatrix> read_importance(const std::string& path);
// The same from bytes; `name` stands for the path in messages.
Result<ImportanceMatrix> parse_importance(std::span<const std::byte> bytes, std::string_view name);

// The bytes of a file, as llama.cpp writes them.
Result<void> write_importance(const ImportanceMatrix& importance, const std::string& path,
                              ImportanceFormat format);

}  // namespace carat
