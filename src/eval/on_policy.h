// On-policy text: what the parents themselves write. Divergences along somebody else's text are up to twenty
// times larger than along the texts that a model meets when it is used, its own; so those are yardstick B's
// main figures where they were asked for, and the suite's text is beside the point. Every parent writes for
// its own files.
#pragma once

#include <cstdint>

#include "base/progress.h"
#include "base/result.h"
#include "eval/lockstep.h"

namespace carat {

struct OnPolicyOptions {
  int64_t n_texts = 0;            // continuations per parent; 0: none
  int64_t max_tokens = 128;       // of a continuation; it ends sooner where the parent ends it
  int64_t longest_prompt = 2048;  // tokens; items with longer ones are passed over
  uint64_t seed = 1;
};

// The beginnings of the suite's items, up to what is scored, each continued by the model: drawn from its
// whole distribution at temperature 1, because the likeliest texts alone would be too easy. Only the
// continuations are scored; they have no answers. Beginnings that occur twice are continued once. Errors: no
// beginning short enough, and those of Session.
Result<Suite> continue_prompts(const ModelUnderTest& parent, const Suite& suite,
                               const OnPolicyOptions& options, int n_threads, const Progress& progress);

}  // namespace carat
