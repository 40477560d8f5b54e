// Forward: the Gemma 4 network, written once against Backend.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "kernels/backend.h"
#include "model/kv_cache.h"
#include "model/model.h"

namespace carat {

// Some tokens of one sequence, continuing its cache. The cache advances by tokens.size(). Whoever takes tokens or
// lengths from a user checks them first: here they are preconditions.
//  - at least one token, at most the cache's max_batch, and no more than its positions that are left;
//  - every token in [0, n_vocab);
//  - the cache was made for this model's config and lives in this Forward's backend; no two chunks share one.
struct Chunk {
  KvCache* cache;
  std::span<const Token> tokens;
};

enum class Rows {
  last,  // the last row of each chunk: all other rows stop at the last layer that writes keys and values
  all,
  none,  // the call only fills the caches
};

// Some tokens of one sequence, for callers that keep the keys and values themselves (Forward::enter): they stand at
// positions position, position + 1, …, and the last n_wanted of their rows are to come out at the end.
struct TokenRun {
  std::span<const Token> tokens;
  int64_t position;
  int64_t n_wanted;
};

// Rows between two layers: everything that a batch is there. Made, moved on and read by one Forward.
class Passage {
 public:
  struct State;
  explicit Passage(std::unique_ptr<State> state);
  Passage(Passage&&) noexcept;
  Passage& operator=(Passage&&) noexcept;
  ~Passage();

  int64_t n_rows() const;
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

struct ForwardOptions {
  int64_t max_rows = 512;   // most rows in one call over all chunks
  bool prefill_cut = true;  // off: rows that nobody wants run to the end too (same bits, more time)
  // best() reads a short copy of the head, made once, and of the head itself only the rows that can be among the best:
  // the same result from fewer bytes, for Forward::screen_bytes() of memory. Where the head has none: without.
  bool screen_head = false;
};

// Scratch for calls on one model and backend; one per thread of control.
class Forward {
 public:
  // `backend` outlives it. Errors: max_rows less than 1, or scratch that the machine has no memory for.
  static Result<Forward> create(std::shared_ptr<const Model> model, Backend& backend,
                                const ForwardOptions& options = {});
  Forward(Forward&&) noexcept;
  Forward& operator=(Forward&&) noexcept;
  ~Forward();

  // Scratch for calls of max_rows rows, the backend's own among it (an estimate); INT64_MAX if it is more.
  static int64_t bytes_needed(const Config& config, int64_t max_rows);

  const Model& model() const;
  Backend& backend() const;
  const ForwardOptions& options() const;

  // Runs the chunks (1 … max_rows rows together; see Chunk) and returns the post-final-norm hidden states of
  // the wanted rows, in order: [n_wanted, dim], valid until the next call.
  std::span<const float> run(std::span<const Chunk> chunks, Rows rows);

  // The same network a layer at a time, for callers that send many batches through one layer before they touch the
  // next: run() is enter(), then run_layer() for layers 0, 1, …, then leave(), to the bit.
  //
  // Embeds the parts' tokens, in order: 1 … max_rows rows together, preconditions as for Chunk.
  Passage enter(std::span<const TokenRun> parts);
  // Moves the rows through a layer, the one behind that of the last call. cells[i]: what this layer reads for part i
  // (its kv_source's), with room for the part as make_cells() has it. Rows that are not wanted leave at the last layer
  // that writes keys and values.
  void run_layer(Passage& rows, int layer, std::span<const KvView> cells);
  // The wanted rows behind the last layer: post-final-norm hidden states [n_wanted, dim], valid until the next call.
  std::span<const float> leave(Passage& rows);

  // logits[r, :] of hidden rows [n_rows, dim]: head, soft cap, suppressed tokens -> -inf. out [n_rows,
  // n_vocab]. `hidden` has exactly n_rows rows.
  void logits(std::span<const float> hidden, int64_t n_rows, float* out);

  // The n_best likeliest tokens after one hidden row [dim], best first, and their logits: what sorting logits() gives
  // (equal logits: the lower id first; NaN and -inf left out), to the bit. `never`: tokens that do not count, beside the
  // suppressed ones. Valid until the next call.
  std::span<const ScoredRow> best(std::span<const float> hidden, int64_t n_best, std::span<const Token> never = {});

  // Lays the matrices of layers, and a head without a screen, out anew for the backend's kernels (Backend::repack): the same
  // bits sooner, for repacked_bytes() of memory, 0 where nothing gains. Once, and before other calls. Errors: more memory
  // than the machine has, an interruption.
  Result<void> repack(const Progress& progress = nullptr);
  size_t repacked_bytes() const;
  // Memory of the head's screen; 0: there is none.
  size_t screen_bytes() const;
  // What best() has done so far with a screen.
  struct ScreenUse {
    int64_t n_calls = 0;      // that went through it
    int64_t n_full = 0;       // of them: too much was left, the whole head was read after all
    int64_t n_rows_read = 0;  // of the head, in the other calls
  };
  const ScreenUse& screen_use() const;

 private:
  struct Impl;
  explicit Forward(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Runs a whole prompt in pieces of at most max_rows and the cache's max_batch; hidden state of the last position,
// [dim]. The prompt is not empty and fits what is left of the cache.
std::span<const float> prefill(Forward& forward, KvCache& cache, std::span<const Token> tokens);

// log-softmax of one row of logits, in place, sums in double; returns log(sum(exp)). Impossible tokens (-inf) stay
// -inf. A row with NaN or +inf, or of nothing but -inf, has no distribution: all of it becomes NaN, the result too.
double log_softmax(std::span<float> logits);

}  // namespace carat
