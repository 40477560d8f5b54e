// Trainer: teaches a Gemma 4 network from rows of tokens: from scratch, or as quantization-aware training with a
// parent's probabilities as the target.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/random.h"
#include "base/result.h"
#include "model/model.h"
#include "tensor/type.h"

namespace carat::train {

// tokens [length + 1]; the loss of predicting tokens[i + 1] counts weights[i]. One sequence, positions 0 ….
struct Row {
  std::vector<Token> tokens;
  std::vector<float> weights;
};

// Fills one row; `progress` runs from 0 to 1 over the training (a curriculum may look at it). Must depend on its
// arguments alone, so that a resumed run sees the same rows.
using RowSource = std::function<Row(Random& random, double progress)>;

struct Options {
  int64_t n_tokens = 0;          // to train on
  int64_t batch_tokens = 2048;   // per step
  int64_t row_length = 128;
  double learning_rate = 3e-3;
  double flat_fraction = 0.5;    // constant until here, then cosine to final_fraction
  double final_fraction = 0.02;
  int64_t warmup_steps = 100;
  double beta1 = 0.9, beta2 = 0.98, epsilon = 1e-9;
  double weight_decay = 0.05;    // on matrices only
  double clip_norm = 1.0;
  uint64_t seed = 1;
  int n_threads = 1;

  // Quantization-aware training: matrices and tables are fake-quantized by this type's own codec in every forward
  // pass, gradients pass straight through, and the saved weights are projected onto the type's lattice.
  std::optional<TensorType> fake_quant;
  std::vector<std::pair<std::string, TensorType>> fake_quant_overrides;  // as QuantizeOptions::overrides
  double distill_weight = 0;     // loss = distill_weight * KL(parent || student) + (1 - distill_weight) * CE

  std::string checkpoint_path;   // empty: none; written now and then and on interruption, resumed from if present
  double checkpoint_every_seconds = 120;
};

// One line of the loss curve.
struct LossPoint {
  int64_t step, n_tokens;
  double loss, answer_loss, answer_accuracy, learning_rate, seconds;
};

}  // namespace carat::train
