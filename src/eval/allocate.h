// Allocate: which tensor gets which type, when a file shall have a size, or a divergence, and nobody knows a
// recipe for it. What each tensor is worth is measured: it alone is quantized, and the divergence from the
// model as it was is that tensor's sensitivity. Other types are judged by their squared errors, to which the
// divergence is proportional as long as it is small; those of several tensors add up.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "eval/importance.h"
#include "model/model.h"
#include "quant/quantize.h"

namespace carat {

// One type that a tensor may get.
struct TypeChoice {
  TensorType type;
  uint64_t bytes;
  double divergence;  // expected of the model, in nats per token, if this tensor alone is quantized so
};

struct TensorChoices {
  std::string name;
  std::vector<TypeChoice> choices;  // more bytes, less divergence; the last one is the tensor as it is
};

struct SensitivityOptions {
  CalibrationOptions calibration;       // on which the divergence is measured, both models with its type of cache
  TensorType probe = TensorType::Q4_K;  // or what fits a tensor's rows instead
  const ImportanceMatrix* importance = nullptr;
};

// For each tensor of the file that a recipe may change and that is not yet in blocks, without those named in
// `fixed`. Errors: those of the texts and of running a model.
Result<std::vector<TensorChoices>> measure_sensitivity(std::shared_ptr<const Model> model,
                                                       std::span<const std::string> fixed,
                                                       std::span<const CalibrationText> texts,
                                                       const SensitivityOptions& options);

struct Allocation {
  std::vector<size_t> chosen;  // per tensor, an index of its choices
  uint64_t bytes = 0;
  double divergence = 0;  // expected
};

// The least divergence within so many bytes, up to a last step that does not fit. Without room for the
// smallest choices: those.
Allocation allocate_bytes(std::span<const TensorChoices> tensors, uint64_t max_bytes);
// The fewest bytes with so much divergence.
Allocation allocate_divergence(std::span<const TensorChoices> tensors, double max_divergence);

// Mean divergence of a file's model, with a cache of the options' type, from `reference` with one of halves over the
// texts, nats per token.
Result<double> mean_divergence(std::shared_ptr<const Model> model, std::shared_ptr<const Model> reference,
                               std::span<const CalibrationText> texts, const CalibrationOptions& options);

}  // namespace carat
