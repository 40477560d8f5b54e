// The gradient of one step's batch. Rows are cut into a fixed number of lanes, each with a gradient arena of
// its own, and lanes are summed in order: threads only decide who computes a lane, so their number changes no
// bit.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "train/network.h"
#include "train/trainer.h"

namespace carat::train {

// Most threads that can share a step; part of what fixes the bits.
inline constexpr int64_t kLanes = 8;
// Rows of one forward and backward pass: activations stay near the cores.
int64_t rows_per_pass(int64_t row_length);

// Which rows: row i is drawn from a seed of its own.
struct BatchPlan {
  uint64_t seed;  // of the step
  int64_t n_rows;
  double progress;  // passed to the source
};

class BatchGradient {
 public:
  // parent may be nullptr.
  BatchGradient(const Parameters& parameters, const Parameters* parent, const RowSource& source,
                const Options& options, ThreadPool& pool);
  ~BatchGradient();

  // What a thread works with, apart from lanes.
  static int64_t n_floats_per_thread(const Config& config, bool has_parent, int64_t row_length);

  // Sums over the batch; with_gradient: lanes() then holds the gradient of the sum of weight * loss.
  Result<LossSums> run(const float* weights, const BatchPlan& plan, bool with_gradient);

  std::span<const float* const> lanes() const { return lane_pointers_; }

 private:
  struct Worker;  // one thread's activations and buffers

  Result<LossSums> run_lane(Worker& worker, const float* weights, const BatchPlan& plan, int64_t first_row,
                            int64_t n_rows, float* gradient);
  Result<LossSums> run_rows(Worker& worker, const float* weights, const BatchPlan& plan, int64_t first_row,
                            int64_t n_rows, float* gradient);

  const RowSource& source_;
  const Options& options_;
  ThreadPool& pool_;
  Network network_;
  const Parameters* parent_;
  std::unique_ptr<Network> parent_network_;
  std::vector<std::unique_ptr<Worker>> workers_;  // per thread
  std::vector<AlignedArray<float>> lanes_;
  std::vector<const float*> lane_pointers_;
};

// Draws and checks row i of a batch.
Result<Row> draw_row(const RowSource& source, const BatchPlan& plan, int64_t i, const Options& options,
                     int64_t n_vocab);

}  // namespace carat::train
