// quantize: one GGUF file in, another out, tensor types chosen by a recipe.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "gguf/reader.h"
#include "tensor/type.h"

namespace carat {

struct QuantizeOptions {
  TensorType type = TensorType::Q4_0;  // for every eligible tensor
  // First match wins: ECMAScript regex searched in the tensor's name -> type.
  std::vector<std::pair<std::string, TensorType>> overrides;
  std::optional<TensorType> embedding_type;  // token_embd and per_layer_token_embd
  int n_threads = 1;
};

struct QuantizeSummary {
  uint64_t bytes_in = 0, bytes_out = 0;  // tensor data
  uint64_t n_weights = 0;                // elements of quantized tensors
  double bits_per_weight = 0;            // of the whole file's tensor data
};

// True if a recipe may change this tensor: two or more dimensions and not a norm, router or scale
// (the rule of llama-quantize, reference sheet 5.1).
bool is_quantizable(const Tensor& tensor);

// `type`, or what to use instead when the row length does not fit its block (reference sheet 5.4).
TensorType fitting_type(TensorType type, int64_t n_columns);

// The type of each tensor of `file` under `options`, in file order.
Result<std::vector<TensorType>> plan_types(const gguf::File& file, const QuantizeOptions& options);

// Writes `out_path`; tensors already of their target type are copied bit by bit. F32/F16/BF16 sources only, unless
// the target is itself F32/F16/BF16 (then anything with a codec is decoded).
Result<QuantizeSummary> quantize(const gguf::File& file, const std::string& out_path,
                                 const QuantizeOptions& options, const Progress& progress = nullptr);

}  // namespace carat
