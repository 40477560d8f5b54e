// Importance: what texts send through each matrix of a model, reduced to what quantizers want of it. Here the
// mean squares of the columns (an importance matrix); eval/moments.h has the full second moments.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "eval/tapped_backend.h"
#include "model/kv_type.h"
#include "model/model.h"
#include "quant/importance.h"

namespace carat {

// A text as pieces of equal length that go through the model one by one, each begun with BOS.
struct CalibrationText {
  std::string name;
  std::vector<Token> tokens;  // begins with BOS, where the model wants one
};

struct CalibrationOptions {
  int64_t n_ctx = 512;     // tokens of a piece, at most the model's context
  int64_t max_chunks = 0;  // over all texts; 0: all
  // Of the cache that the texts go through: what a quantized one does to keys and values reaches all inputs behind it.
  KvType kv = TensorType::F16;
  int n_threads = 1;
  Progress progress{};  // in tokens
};

struct CalibrationChunks {
  int64_t n_ctx = 0;
  std::vector<std::vector<Token>> chunks;
};

// The pieces, the first token of each replaced by BOS; what is left of a text is not used. Errors: no text
// has as many tokens as a piece.
Result<CalibrationChunks> cut_into_chunks(const Model& model, std::span<const CalibrationText> texts,
                                          const CalibrationOptions& options);

// Runs the pieces, in exact precision, and shows all inputs of matrices to `observer`. With `head` also the
// output head's, once for each token. Errors: no memory, or interruption.
Result<void> observe_inputs(std::shared_ptr<const Model> model, const CalibrationChunks& chunks,
                            const CalibrationOptions& options, bool head, const InputObserver& observer);

// The importance matrix of the layers' matrices ("blk.…", as llama.cpp's), and with `head` of the output
// head, under its tensor's name.
Result<ImportanceMatrix> collect_importance(std::shared_ptr<const Model> model,
                                            std::span<const CalibrationText> texts,
                                            const CalibrationOptions& options, bool head = false);

}  // namespace carat
