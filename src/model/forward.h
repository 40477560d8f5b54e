// Forward: the Gemma 4 network, written once against Backend.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "model/kv_cache.h"
#include "model/model.h"

namespace carat {

// Some tokens of one sequence, continuing its cache. The cache advances by tokens.size().
struct Chunk {
  KvCache* cache;
  std::span<const Token> tokens;
};

enum class Rows {
  last,  // the last row of each chunk: all other rows stop at the last layer that writes keys and values
  all,
  none,  // the call only fills the caches
};

struct ForwardOptions {
  int64_t max_rows = 512;   // most rows in one call over all chunks
  bool prefill_cut = true;  // off: rows that nobody wants run to the end too (same bits, more time)
};

// Scratch for calls on one model and backend; one per thread of control.
class Forward {
 public:
  Forward(std::shared_ptr<const Model> model, Backend& backend, const ForwardOptions& options = {});
  ~Forward();

  const Model& model() const;
  Backend& backend() const;
  const ForwardOptions& options() const;

  // Runs the chunks (total rows <= max_rows; each fits its cache) and returns the post-final-norm hidden
  // states of the wanted rows, in order: [n_wanted, dim], valid until the next call.
  std::span<const float> run(std::span<const Chunk> chunks, Rows rows);

  // logits[r, :] of hidden rows [n_rows, dim]: head, soft cap, suppressed tokens -> -inf. out [n_rows,
  // n_vocab].
  void logits(std::span<const float> hidden, int64_t n_rows, float* out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Runs a whole prompt of any length in pieces of at most max_rows and the cache's max_batch; hidden state of
// the last position, [dim].
std::span<const float> prefill(Forward& forward, KvCache& cache, std::span<const Token> tokens);

// log-softmax of one row of logits, in place, sums in double; returns log(sum(exp)).
double log_softmax(std::span<float> logits);

}  // namespace carat
