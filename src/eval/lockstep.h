// Lockstep: runs several models over one suite at the same time, batch by batch, and reduces their logits
// tile by tile while they are all at hand. Logits are never stored: the usual base file would take about 70
// GiB at Gemma's vocabulary. A result does not depend on the number of threads or on which models run along.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "eval/scores.h"
#include "eval/suite.h"
#include "kernels/backend.h"
#include "model/kv_type.h"
#include "model/model.h"

namespace carat {

struct ModelUnderTest {
  std::shared_ptr<const Model> model;
  KvType kv = TensorType::F16;
  Precision precision = Precision::exact;
};

struct LockstepRequest {
  const Suite* suite = nullptr;
  std::vector<ModelUnderTest> models;
  std::vector<ReferencePair> pairs;
  int n_threads = 1;
  // Batches that are computed side by side, each with n_threads / n_workers threads. 0: one per thread for
  // models that fit a cache (they would only wait for each other), one for larger ones (they need the
  // memory).
  int n_workers = 0;
  int64_t max_rows = 512;  // tokens per batch
  Progress progress;       // in tokens, all models together
};

// Errors: a malformed suite, a token outside a model's vocabulary, vocabularies of a pair that differ, an
// item longer than a model's context, logits that are not finite, or interruption.
Result<LockstepScores> run_lockstep(const LockstepRequest& request);

}  // namespace carat
