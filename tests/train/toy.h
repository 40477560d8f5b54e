// Small configs with every feature of the architecture, and a row source that a small network learns in
// seconds.
#pragma once

#include "train/trainer.h"

namespace carat::train::toy {

struct Variant {
  const char* name;
  Config config;
};

// Per-layer embeddings with shared KV and double-wide FFNs; dense with K=V full layers and other head dims
// there; experts.
std::vector<Variant> variants();

// A config that learns fast: 32 wide, two layers.
Config tiny();

// "letters, separator, the same letters", again and again: the second time is the answer. Tokens below 24.
Row copy_row(Random& random, int64_t length);

}  // namespace carat::train::toy
