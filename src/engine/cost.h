// What computing tokens costs, counted over shapes: bytes that have to be read and multiply-adds that have to
// be done. With a Roof they give the least time that this machine needs, and a measured speed is printed as a
// share of that.
#pragma once

#include <array>
#include <cstdint>

#include "engine/roof.h"
#include "model/kv_cache.h"
#include "model/model.h"

namespace carat {

// Weight bytes read to decode one token: every matrix once, the chosen experts only, one row of each
// embedding table, and the whole head. The KV cache is not counted.
uint64_t decode_bytes(const Model& model);

struct Cost {
  double weight_bytes =
      0;  // a matrix counts once per pass, of the experts those that so many rows are expected to choose
  double kv_bytes = 0;  // what a pass's rows see together, once per layer; what is written does not count
  std::array<double, kArithmetics.size()>
      multiply_adds{};  // by Arithmetic; matrices and attention, the rest is nothing

  double n_bytes() const { return weight_bytes + kv_bytes; }
  double n_multiply_adds() const;
};

// n_rows tokens from `position` on, in passes of rows_per_pass.
struct Work {
  int64_t position = 0;  // tokens in the cache before
  int64_t n_rows = 1;
  int64_t rows_per_pass = 1;
  bool all_logits = false;  // of all rows; else of the last one alone
  bool cut = true;          // the prefill cut, where a row's logits are not wanted
};
// `cache`: for its types and which layers keep no keys; what is in it does not matter. Keys in blocks are
// multiplied as integers where `precision` is fast, values and other keys as floats.
Cost cost_of(const Config& config, const Weights& weights, const KvCache& cache, Precision precision,
             const Work& work);

// The least time for it, and what takes it: reading memory (unless the weights stay in the largest cache), or
// arithmetic, which is named by the kind that takes most of that time.
struct Bound {
  double seconds = 0;
  bool by_memory = false;
  Arithmetic arithmetic = Arithmetic::f32;

  std::string_view name() const { return by_memory ? "memory" : name_of(arithmetic); }
};
Bound bound_of(const Cost& cost, const Roof& roof, bool from_memory);

}  // namespace carat
