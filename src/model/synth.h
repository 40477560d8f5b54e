// Synthetic models: random weights in the true shape of a published size, or of a scaled-down one, for
// benchmarks and tests. The same options give the same bytes.
#pragma once

#include <cstdint>
#include <string>

#include "base/progress.h"
#include "base/result.h"
#include "model/assistant.h"
#include "model/config.h"
#include "tensor/type.h"

namespace carat {

struct SynthShape {
  std::string like = "e2b";   // a published size (architecture.h)
  int n_layers = 0;           // 0: as published
  int64_t width_divisor = 1;  // divides every width (up to a multiple of 32); head counts and window stay
  int64_t n_vocab = 0;        // 0: as published
  int64_t n_experts = 0;      // 0: as published; only where the published size has experts
};

struct SynthWeights {
  TensorType matrix_type = TensorType::Q4_0;
  TensorType embedding_type = TensorType::Q4_0;  // token and per-layer embeddings
  uint64_t seed = 1;
};

// Errors: an unknown size or counts out of range.
Result<Config> synth_config(const SynthShape& shape);

// The type that a matrix of rows of n_columns gets: `type`, or Q8_0 or F16 where its blocks do not fit.
TensorType synth_type(TensorType type, int64_t n_columns);

// Writes a model of any config with its tokenizer (sample_vocabulary). Formats that Carat cannot encode get random
// codes, the others random normal values. Memory stays bounded whatever the size. Values are such that activations
// keep their scale through any number of layers, attention scores have unit spread, experts are used evenly and the
// head's best token stands clear of the next.
Result<void> synthesize(const Config& config, const SynthWeights& weights, const std::string& path,
                        const Progress& progress = nullptr);

inline Result<void> synthesize(const SynthShape& shape, const SynthWeights& weights, const std::string& path,
                               const Progress& progress = nullptr) {
  return synthesize(TRY(synth_config(shape)), weights, path, progress);
}

// The assistant of that size, scaled like its target: the two fit if they are made with the same shape. An
// ordered head only if asked for, and where the published size has one: not every reader of such files knows
// its tensors.
Result<AssistantConfig> synth_assistant_config(const SynthShape& shape, bool ordered_head = false);

// Writes an assistant in a dialect (assistant_dialects()), by default llama.cpp's.
Result<void> synthesize(const AssistantConfig& config, const SynthWeights& weights, const std::string& path,
                        const AssistantDialect& dialect = assistant_dialects().front(),
                        const Progress& progress = nullptr);

}  // namespace carat
