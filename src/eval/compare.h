// compare: the judgement. Files in, EvalReport out; who is whose parent is said by the caller.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "eval/eval_report.h"
#include "eval/item_source.h"
#include "eval/lockstep.h"
#include "eval/on_policy.h"
#include "eval/sequential.h"
#include "eval/suite.h"
#include "model/model.h"

namespace carat {

struct CompareFile {
  std::shared_ptr<const Model> model;
  std::string name;  // for people; empty: the file's name without folder and ".gguf"
  Family family = Family::original;
  int parent = -1;  // index of its unquantized parent; -1: it is a parent itself, or none is known
  int seed = 0;     // training seed of a QAT or control file: recovery pairs equal seeds
};

struct CompareRequest {
  std::vector<CompareFile> files;
  const Suite* suite = nullptr;  // or, for a judgement that goes on until it is decided:
  ItemSource* source = nullptr;
  SequentialOptions sequential;
  OnPolicyOptions on_policy;
  // Every file is judged with every type; divergence is always from the parent with the first.
  std::vector<KvType> kv_types{TensorType::F16};
  Precision precision = Precision::exact;
  std::optional<Budget> budget;
  bool measure_speed = true;
  bool noise_floor = true;  // one quantized file twice, through the exact and the fast engine
  int n_threads = 1;
  // Processes that divide the items among them. All come to the same report; speeds are measured by the first alone.
  const Ranks* ranks = &Ranks::job();
  int n_resamples = 2000;
  uint64_t seed = 1;
  Margins margins;
  std::string command;  // as typed, for the report
  std::string title;    // EvalReport::title
  Progress progress;
  // Of the run in lockstep, see eval/lockstep.h.
  int64_t memory_bytes = 0;
  std::string saved_path;
  std::function<void(const LockstepPlan&)> on_plan;
};

// Errors: no files, an index that is none, and those of run_lockstep.
Result<EvalReport> compare(const CompareRequest& request);

}  // namespace carat
