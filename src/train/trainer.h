// Trainer: teaches a Gemma 4 network from rows of tokens: from scratch, or as quantization-aware training
// with a parent's probabilities as the target.
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
#include "train/fake_quant.h"
#include "train/parameters.h"

namespace carat::train {

// tokens [length + 1]; the loss of predicting tokens[i + 1] counts weights[i], and a weight of 1 or more
// marks a token of an answer. One sequence, positions 0 ….
struct Row {
  std::vector<Token> tokens;
  std::vector<float> weights;
};

// Fills one row; `progress` runs from 0 to 1 over the training (a curriculum may look at it). Must depend on
// its arguments alone, so that a resumed run sees the same rows. Called from several threads at once.
using RowSource = std::function<Row(Random& random, double progress)>;

struct Options {
  int64_t n_tokens = 0;         // to train on
  int64_t batch_tokens = 2048;  // per step
  int64_t row_length = 128;
  double learning_rate = 3e-3;
  double flat_fraction = 0.5;  // constant until here, then cosine to final_fraction
  double final_fraction = 0.02;
  int64_t warmup_steps = 100;
  double beta1 = 0.9, beta2 = 0.98, epsilon = 1e-9;
  double weight_decay = 0.05;  // on projections only: not on tables, norms, routers and scales
  double clip_norm = 1.0;      // 0: no clip
  std::string source_name;     // one line saying what the rows come from: a checkpoint goes on only with the same
  uint64_t seed = 1;
  int n_threads = 1;  // does not change a bit of the result

  // Quantization-aware training: matrices and tables are fake-quantized by this type's own codec in every
  // forward pass, gradients pass straight through, and the trained weights are projected onto the type's
  // lattice.
  std::optional<TensorType> fake_quant;
  TypeOverrides fake_quant_overrides;  // as QuantizeOptions::overrides
  double distill_weight = 0;  // loss = distill_weight * KL(parent || student) + (1 - distill_weight) * CE

  std::string
      checkpoint_path;  // empty: none; written now and then and on interruption, resumed from if present
  double checkpoint_every_seconds = 120;

  int64_t report_every_steps = 50;
  int64_t n_held_out_rows = 0;  // rows never trained on, judged now and then at progress 1; 0: none
  int64_t held_out_every_steps = 500;
};

// How well rows are predicted. Losses are in nats per token; the share of right answers is teacher-forced.
struct Score {
  double cross_entropy = 0;    // weighted mean
  double divergence = 0;       // KL(parent || student), weighted mean; 0 without a parent
  double answer_loss = 0;      // mean over answer tokens
  double answer_accuracy = 0;  // share of answer tokens that are the argmax
  double answers_right = 0;    // share of answers (runs of answer tokens) of which every token is
  int64_t n_answers = 0;
};

// One line of the loss curve: means over the steps since the line before.
struct LossPoint {
  int64_t step = 0, n_tokens = 0;  // so far
  double loss = 0;                 // what is minimised
  Score score;
  double gradient_norm = 0;  // before the clip
  double learning_rate = 0, seconds = 0;
  std::optional<Score> held_out;
};

// One line of JSON, without the line feed.
std::string to_json(const LossPoint& point);

struct TrainResult {
  std::vector<LossPoint> curve;  // of the whole training, earlier runs of a resumed one included
  int64_t n_steps = 0, n_tokens = 0;
  double seconds = 0;     // spent training, likewise
  Projection projection;  // of quantization-aware training
};

// Trains `parameters` in place (from initialize() or load_parameters()); with a parent and a distill_weight,
// towards the parent's probabilities. Errors: options that make no sense, a row of the wrong shape, a loss
// that is no number, a checkpoint of another training, and interruption (after writing the checkpoint).
Result<TrainResult> train(Parameters& parameters, const Parameters* parent, const RowSource& source,
                          const Options& options,
                          const std::function<void(const LossPoint&)>& on_point = nullptr);

// Scores n_rows held-out rows of the source (drawn from options.seed, never trained on), without fake
// quantization.
Result<Score> evaluate(const Parameters& parameters, const Parameters* parent, const RowSource& source,
                       int64_t n_rows, const Options& options);

}  // namespace carat::train
