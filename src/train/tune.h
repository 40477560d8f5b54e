// Tuning: the codes and scales of a quantized model, and its gains, are refined end to end until its
// probabilities come as near to its parent's as its types allow. Error compensation (quant/compensation.h)
// sees one matrix at a time and counts all outputs alike; the gradient of the divergence knows what each
// output is worth, and lets later layers make up for earlier ones. Types and sizes stay as they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "model/model.h"
#include "train/tuned_tensors.h"

namespace carat::train {

struct TuneOptions {
  int64_t n_tokens = 1'000'000;                   // seen in all, pieces of the texts drawn at random
  int64_t batch_tokens = 2048, row_length = 256;  // rows are no longer than the model's context
  TuneRates rates{0.01, 3e-4};
  double pull = 0.3;  // see TunedCodes
  uint64_t seed = 1;
  int n_threads = 1;    // does not change a bit of the result
  Progress progress{};  // in tokens
};

struct TuneResult {
  std::vector<TunedTensor> tensors;
  // Mean divergence from the parent, in nats, on pieces that were kept back; tuning that did not lower it
  // changes nothing, and `tensors` is empty.
  double before = 0, after = 0;
};

// What tune() refuses: texts too short to keep a part back, and too little memory for 56 bytes a weight and each thread's
// activations.
Result<void> check_tunable(const Model& parent, std::span<const std::vector<Token>> texts,
                           const TuneOptions& options);

// `quantized` has the shape of `parent`. Tensors in block types with a grid and gains in F32 move; fused
// experts stored as separate stacks, and everything else, stay. `texts` are tokens, each begun with BOS where
// the model wants one. Errors: those of check_tunable(), and interruption.
Result<TuneResult> tune(const Model& parent, const Model& quantized,
                        std::span<const std::vector<Token>> texts, const TuneOptions& options);

}  // namespace carat::train
