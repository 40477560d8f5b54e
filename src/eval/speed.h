// Speed and resident memory of a file on this machine, measured in the run that judges it.
#pragma once

#include <memory>

#include "base/result.h"
#include "kernels/backend.h"
#include "model/kv_type.h"
#include "model/model.h"

namespace carat {

struct Speed {
  double prefill_tok_s = 0;  // 128 prompt tokens
  double decode_tok_s = 0;   // the 16 after them
  // By how much running grew this process: the file's touched pages, the KV cache of those 144 tokens, scratch.
  // Tables of which a text touches few rows cost less than they weigh. 0: the system does not tell.
  uint64_t resident_bytes = 0;
};

// Fast engine, best of repetitions that take about a second (one, if it takes longer than that). Models that
// fit a cache are also timed with one thread: waiting for each other can cost threads more than they compute.
Result<Speed> measure_speed(const std::shared_ptr<const Model>& model, KvType kv, int n_threads);

// Differences in speed below this share are not told from noise.
inline constexpr double kSpeedNoise = 0.05;

}  // namespace carat
