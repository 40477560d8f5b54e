// Speed of a file on this machine, measured in the run that judges it.
#pragma once

#include <memory>

#include "base/result.h"
#include "kernels/backend.h"
#include "model/model.h"

namespace carat {

struct Speed {
  double prefill_tok_s = 0;  // 128 prompt tokens
  double decode_tok_s = 0;   // the 16 after them
};

// Fast engine, best of a few repetitions that together take at most a second or so beyond the first.
Result<Speed> measure_speed(const std::shared_ptr<const Model>& model, TensorType kv, int n_threads);

}  // namespace carat
