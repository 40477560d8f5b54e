// Lockstep: runs several models over one suite in passes of some thousand tokens. In each pass every model runs layer by
// layer (layer_major.h), and then the logits of all are formed and reduced tile by tile (tile_reduction.h). Logits are
// never stored: the usual base file would take about 70 GiB at Gemma's vocabulary. A model need not fit memory: what does
// not is read once per pass, ahead of its use. A result depends neither on passes, threads and memory nor on which models
// run along.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/ranks.h"
#include "base/result.h"
#include "eval/scores.h"
#include "eval/suite.h"
#include "eval/tile_reduction.h"
#include "kernels/backend.h"
#include "model/kv_type.h"
#include "model/model.h"

namespace carat {

struct ModelUnderTest {
  std::shared_ptr<const Model> model;
  KvType kv = TensorType::F16;
  Precision precision = Precision::exact;
  std::string fingerprint{};  // of the file; needed only where scores are saved
};

// What a run is going to take. Bytes of weights are those that the network reads, of all files together.
struct LockstepPlan {
  size_t n_files = 0, n_models = 0, n_passes = 0;
  int64_t n_tokens = 0;       // that each model runs over; those that were scored before are not among them
  int64_t n_items_saved = 0;  // scored before
  int64_t memory_allowed = 0;
  int64_t memory_least = 0;   // a run with less is refused
  int64_t scratch_bytes = 0;  // what is neither weights nor the program's own
  uint64_t weight_bytes = 0, kept_bytes = 0;
  uint64_t pass_bytes = 0;  // read again in every pass
  uint64_t read_bytes = 0;  // from the files in all passes, if nothing of them is in memory yet
  // Tried out on a layer of each model; 0: not, where all files are small.
  double read_rate = 0;  // bytes per second
  double seconds = 0;

  bool streams() const { return pass_bytes > 0; }
};

struct LockstepRequest {
  const Suite* suite = nullptr;
  std::vector<ModelUnderTest> models;
  std::vector<ReferencePair> pairs;
  int n_threads = 1;
  // Passes that are computed side by side, each with n_threads / n_workers threads. 0: one per thread for
  // models that fit a cache (they would only wait for each other), one for larger ones (they need the
  // memory).
  int n_workers = 0;
  int64_t max_rows = 512;    // rows in one call
  int64_t pass_tokens = 0;   // tokens per pass, but at least an item; 0: chosen, and fewer where memory is short
  int64_t memory_bytes = 0;  // that may be used; 0: what the machine, a control group or ulimit leaves
  bool keep_weights = true;  // off: nothing stays between passes, as if memory were short; for measuring
  Progress progress;         // in units of work, all models together
  std::function<void(const LockstepPlan&)> on_plan;  // before the first pass
  // Sees every tile, in order of the suite. There is one worker then, and nothing may be saved.
  TileObserver observe;
  // A file in which scores are kept after every pass and from which the run goes on; empty: none.
  std::string saved_path;
  // Part of a job that several processes share: only every n_shares-th item, from number `share` on. The scores of the
  // others stay empty until join_shares().
  int share = 0, n_shares = 1;
};

// Errors: a malformed suite, a token outside a model's vocabulary, vocabularies of a pair that differ, an
// item longer than a model's context, too little memory, logits that are not finite, a saved file of another request, or
// interruption.
Result<LockstepScores> run_lockstep(const LockstepRequest& request);

// Scores of all items from those that each rank has computed as its share of one request (share = ranks.index()); the
// same at all ranks, and the same as those of one process that runs it alone. Errors: MPI's; ranks of different programs.
Result<LockstepScores> join_shares(const LockstepRequest& request, LockstepScores scores, const Ranks& ranks);

}  // namespace carat
