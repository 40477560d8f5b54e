// Schedule: which items make a pass, and which weights stay in memory between passes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "eval/lockstep.h"
#include "eval/model_pages.h"

namespace carat {

// A file that one or several of the request's models run: its weights are read once for all of them.
struct SharedFile {
  const Model* model;
  std::vector<size_t> lanes;  // indices of the request's models
  ModelPages pages;
};

// In the order of their first model.
std::vector<SharedFile> shared_files(std::span<const ModelUnderTest> models);

struct Schedule {
  LockstepPlan plan;                         // without what is tried out
  std::vector<std::vector<int64_t>> passes;  // items
  std::vector<std::vector<bool>> kept;       // [n_files][n_layers]
  bool heads_kept = true;
  int64_t tile_rows = 16;
  bool small = false;  // every file fits a cache: passes may be computed side by side
};

// For the items that are left. Errors: memory that is too small for any schedule.
Result<Schedule> make_schedule(const LockstepRequest& request, std::span<const SharedFile> files,
                               std::span<const int64_t> items);

}  // namespace carat
