// quantize: one GGUF file in, another out, tensor types chosen by a recipe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "gguf/reader.h"
#include "quant/importance.h"
#include "quant/lattice_encoder.h"
#include "quant/name_rules.h"
#include "quant/recipe.h"
#include "tensor/type.h"

namespace carat {

struct QuantizeOptions {
  TensorType type = TensorType::Q4_0;  // for every eligible tensor
  Mix mix = Mix::Pure;                 // parse_recipe() gives both
  std::vector<NameRule> overrides;     // first match wins; eligible tensors only
  std::optional<TensorType> embedding_type;  // token_embd and per_layer_token_embd; wins over all else
  int n_threads = 1;
  // Types by name, where somebody has decided already; wins over the mix, not over the two above.
  std::map<std::string, TensorType, std::less<>> assigned;

  // Weighted searches for the tensors that it has entries for, where their type has one; and keys that name it. An
  // entry of another size than its tensor is an error, except for embeddings, which then go without.
  const ImportanceMatrix* importance = nullptr;
  // Tensors at least half of whose 32-blocks lie on a 4-bit lattice keep their codes where they become Q4_0
  // (quant/lattice_encoder.h).
  bool keep_lattices = false;
  // Tensors that somebody has encoded already: by name, the bytes in the type of plan_types().
  std::map<std::string, std::span<const std::byte>, std::less<>> encoded;
  // What whole matrices are multiplied with (NVFP4): tensors to add, by name; the file has none of these names.
  std::map<std::string, std::span<const float>, std::less<>> scales;
};

// Tensors whose rows do not fit the blocks of the type that a recipe or a rule wanted for them.
struct Fallback {
  TensorType wanted, got;
  int64_t n_tensors = 0;
  uint64_t n_weights = 0;
};

struct QuantizeSummary {
  uint64_t bytes_in = 0, bytes_out = 0;  // tensor data
  uint64_t n_weights = 0;                // elements of tensors written in a block type
  double bits_per_weight = 0;            // of the whole file's tensor data
  uint64_t n_elements = 0;               // of all tensors
  // Tensors that got what the recipe wanted for them (where rules leave the recipe none: what the rules wanted).
  int64_t n_tensors_as_wanted = 0;
  std::vector<Fallback> fallbacks;  // those that did not, most weights first

  int64_t n_tensors_in_blocks = 0;      // written in a block type from floats
  int64_t n_tensors_with_importance = 0;  // of those
  int64_t n_lattice_tensors = 0;        // of those that became Q4_0: kept their lattice
  LatticeBlocks lattice;                // the blocks of the lattice tensors
};

// The type of each tensor of `file` under `options`, in file order. Needs names and shapes only, no data. An
// override that matches no tensor is an error.
Result<std::vector<TensorType>> plan_types(const gguf::File& file, const QuantizeOptions& options);

// Writes `out_path`; tensors already of their target type are copied bit by bit, and so are tables of integers.
// F32/F16/BF16 sources only, unless the target is itself F32/F16/BF16 (then anything with a codec is decoded).
// Errors, all before anything has a name: a type that carat cannot encode, a source that it cannot decode, a NaN or
// an infinity in the source, a value that the target cannot hold. Memory: a few rows per thread.
Result<QuantizeSummary> quantize(const gguf::File& file, const std::string& out_path,
                                 const QuantizeOptions& options, const Progress& progress = nullptr);
// The same into an open file, which the caller commits or maps.
Result<QuantizeSummary> quantize(const gguf::File& file, OutputFile& out, const QuantizeOptions& options,
                                 const Progress& progress = nullptr);

}  // namespace carat
