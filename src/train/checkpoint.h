// Checkpoint: everything a training run needs to go on after it was stopped, in one file that appears whole
// or not at all.
#pragma once

#include <string>

#include "train/ops_loss.h"
#include "train/optimizer.h"
#include "train/trainer.h"

namespace carat::train {

struct Progressed {
  int64_t n_steps = 0;  // done
  double seconds = 0;
  std::vector<LossPoint> curve;
  // Of the steps since the curve's last point, so that its next one does not depend on where a run was stopped.
  LossSums since_point;
  double norms_since_point = 0;
  int64_t n_steps_since_point = 0;
};

// `identity` is text, a line per setting that must be the same when training goes on.
Result<void> save_checkpoint(const std::string& path, const std::string& identity,
                             const Parameters& parameters, Optimizer& optimizer,
                             const Progressed& progressed);

// Errors: not a checkpoint, another version, truncated, damaged, or another training (naming the first line
// of the identity that differs). Nothing is changed then.
Result<Progressed> load_checkpoint(const std::string& path, const std::string& identity,
                                   Parameters& parameters, Optimizer& optimizer);

// The same from bytes; `name` stands for the path in messages.
Result<Progressed> parse_checkpoint(std::span<const std::byte> bytes, std::string_view name,
                                    const std::string& identity, Parameters& parameters,
                                    Optimizer& optimizer);

}  // namespace carat::train
