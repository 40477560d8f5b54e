// Layer-major evaluation: the items of a pass go through layer 0 together, then through layer 1, and so on, in calls of
// at most max_rows rows. So a layer's weights are needed once per pass, however many tokens it has, and of a layer's
// keys and values only those exist that a later layer still reads.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "eval/suite.h"
#include "model/forward.h"

namespace carat {

// A position whose logits are wanted: they predict tokens[position + 1] of the item.
struct ScoredPosition {
  int64_t item, position;
};

// Those of a pass, in order of items and positions.
std::vector<ScoredPosition> scored_positions(const Suite& suite, std::span<const int64_t> items);

// One way of running the model: its engine and the type of its cache.
struct LayerMajorLane {
  Forward* forward;
  KvType kv;
  std::vector<float>* hidden;  // out: [n_scored, dim], in the order of scored_positions()
};

struct LayerMajorHooks {
  std::function<void()> begin_layer;             // before a layer's weights are touched
  std::function<void(int64_t n_tokens)> done;  // after each call: so many tokens are a layer further
};

// Runs `items` of a suite through the lanes, all of one model, a layer at a time. Results do not depend on max_rows or on
// which items share a pass. The suite's tokens are in the vocabulary, its items no longer than the context. Errors:
// interruption.
Result<void> run_layer_major(const Suite& suite, std::span<const int64_t> items, std::span<const LayerMajorLane> lanes,
                             int64_t max_rows, const LayerMajorHooks& hooks);

// Bytes that an item takes on its way, per lane: streams between layers, and keys and values at their most.
int64_t layer_major_bytes(const Config& config, KvType kv, int64_t n_tokens, int64_t max_rows);

}  // namespace carat
