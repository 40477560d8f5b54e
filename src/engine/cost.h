// What one token costs: the bytes of weights that a decode step reads and the multiply-adds of a prefill row. Speeds
// are printed as shares of what the machine can do with them.
#pragma once

#include <cstdint>

#include "base/thread_pool.h"
#include "model/model.h"

namespace carat {

// Weight bytes read to decode one token: every matrix once, the chosen experts only, one row of each embedding
// table, and the whole head. The KV cache is not counted.
uint64_t decode_bytes(const Model& model);

// Weight bytes read to prefill n_rows positions in passes of rows_per_pass, of which the last one's logits are wanted:
// every matrix once per pass, of the experts those that so many rows are expected to choose. `cut`: with the prefill
// cut, passes but the last end at the last layer that writes keys and values.
uint64_t prefill_bytes(const Model& model, int64_t n_rows, int64_t rows_per_pass, bool cut);

// Multiply-adds of the matrices for one prompt row, head not included. `last_rows_only`: with the prefill cut, for a
// row whose logits nobody wants.
uint64_t row_multiply_adds(const Model& model, bool last_rows_only);

// Bytes per second that all of the pool's threads together read from memory: the best of a few passes over a buffer
// far larger than the caches. Takes a fraction of a second.
double measure_read_bandwidth(ThreadPool& pool);

// Of the CPU's largest cache; 0: the system does not say. Weights that fit are not read from memory.
uint64_t largest_cache_bytes();

}  // namespace carat
