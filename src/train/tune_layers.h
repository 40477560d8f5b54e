// Tuning layer by layer: the hidden states of some text go through the original and the quantized model side
// by side, and each quantized layer in turn is refined until what it makes of its own, already damaged input
// comes as near as it can to what the original made. One layer's weights are in memory at a time, so it is
// for models of which tuning end to end (tune.h) cannot hold all; and a start for that.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "model/model.h"
#include "train/tuned_tensors.h"

namespace carat::train {

struct LayerTuneOptions {
  int64_t n_tokens = 1 << 16;  // of text, pieces drawn at random; their hidden states stay in memory
  int64_t n_passes = 4;        // of each layer over them
  int64_t batch_tokens = 2048, row_length = 256;  // rows are no longer than the model's context
  TuneRates rates{0.02, 3e-4};
  double pull = 0.3;  // see TunedCodes
  uint64_t seed = 1;
  int n_threads = 1;    // does not change a bit of the result
  Progress progress{};  // in steps of all layers
};

// Squared distance of a layer's output from the original's, relative to its size, mean over tokens kept back.
// `before`: behind the layers before it as they were tuned. Tuning that did not lower it is not used: after =
// before.
struct LayerError {
  double before = 0, after = 0;
};

struct LayerTuneResult {
  std::vector<TunedTensor> tensors;
  std::vector<LayerError> layers;
};

// What tune_layers() refuses: texts too short to keep a part back, and too little memory: 56 bytes a weight
// of the largest layer, the hidden states, each thread's activations, and 2 bytes a weight of all layers for
// what comes out.
Result<void> check_layers_tunable(const Model& original, std::span<const std::vector<Token>> texts,
                                  const LayerTuneOptions& options);

// As tune(): `quantized` has the shape of `original`, and what is in block types with a grid or a gain in F32
// moves, of layers; tables, the head and what comes before and after all layers stay. Errors: those of
// check_layers_tunable(), no OpenBLAS, tensors that cannot be decoded, states that are no numbers, and
// interruption.
Result<LayerTuneResult> tune_layers(const Model& original, const Model& quantized,
                                    std::span<const std::vector<Token>> texts,
                                    const LayerTuneOptions& options);

}  // namespace carat::train
