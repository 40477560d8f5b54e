// Drafter: one step of an assistant, which guesses the token after next from a token, the target's last
// hidden state and the target's cache. It appends nothing to any cache; accepting or refusing guesses is the
// caller's.
#pragma once

#include <memory>
#include <span>

#include "base/result.h"
#include "kernels/backend.h"
#include "model/assistant.h"
#include "model/kv_cache.h"

namespace carat {

enum class DraftHead {
  full,     // every token's logit
  ordered,  // only tokens of the best centroids; all others -inf. For assistants that have centroids
};

// The position at which all steps after p cached positions + 1 stand. Engines differ, and report the same
// acceptance.
enum class DraftPosition {
  next,  // p + 1, of the token that is not cached yet
  last,  // p
};

struct DraftOptions {
  DraftHead head = DraftHead::full;
  DraftPosition position = DraftPosition::next;
};

class Drafter {
 public:
  // `backend` outlives it and is the one in whose memory the target's caches and hidden states lie. Errors:
  // draft_sources()'s, an ordered head that the assistant does not have, memory that the machine does not
  // have.
  static Result<Drafter> create(std::shared_ptr<const Assistant> assistant,
                                std::shared_ptr<const Model> target, Backend& backend,
                                const DraftOptions& options = {});
  Drafter(Drafter&&) noexcept;
  Drafter& operator=(Drafter&&) noexcept;
  ~Drafter();

  const Assistant& assistant() const;

  // One step: `token` is the newest one, not cached yet; `hidden` [backbone_dim] is what produced it: the
  // target's post-final-norm state (Forward::run) for the first step, the step before's result for the next.
  // `cache` is the target's and holds at least one position. Writes logits [n_vocab], without soft cap; the
  // result [backbone_dim] is valid until the next step.
  std::span<const float> step(const KvCache& cache, int32_t token, std::span<const float> hidden,
                              float* logits);

 private:
  struct Impl;
  explicit Drafter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace carat
