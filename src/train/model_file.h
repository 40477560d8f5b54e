// Parameters from a model file of any type, and to a new one.
#pragma once

#include <string>
#include <vector>

#include "gguf/metadata.h"
#include "model/model.h"
#include "train/fake_quant.h"
#include "train/parameters.h"

namespace carat::train {

// Decodes every tensor. Absent optional ones become what their absence means: scale 1, no divisors.
Result<Parameters> load_parameters(const Model& model, ThreadPool& pool);

// The same for one layer (make_layer_parameters).
Result<Parameters> load_layer(const Model& model, int layer, ThreadPool& pool);

struct SaveOptions {
  TensorType type = TensorType::BF16;  // of matrices and tables; the rest is F32
  TypeOverrides overrides;
  const gguf::Metadata* tokenizer = nullptr;                  // its tokenizer.* keys are copied
  std::vector<std::pair<std::string, gguf::Value>> metadata;  // further keys, e.g. how the model was made
};

Result<void> save_parameters(const Parameters& parameters, const std::string& path,
                             const SaveOptions& options);

}  // namespace carat::train
