// Assistant: a small network that drafts tokens for a Gemma 4 model, its target (MTP, multi-token
// prediction). Its layers have queries only and read the keys and values that the target has cached; what it
// computes is in drafter.h.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "gguf/reader.h"
#include "model/architecture.h"
#include "model/config.h"
#include "model/dialect.h"
#include "model/model.h"
#include "model/weights.h"

namespace carat {

struct AssistantConfig {
  Config network;            // its own width and layers (kv_source -1)
  int64_t backbone_dim = 0;  // of the target's hidden states
  // The ordered head scores groups of tokens first, then the tokens of the best groups. 0: the file has none.
  int64_t n_centroids = 0, n_centroids_used = 0;

  bool operator==(const AssistantConfig&) const = default;
};

struct AssistantWeights {
  Weights network;         // its token embedding is only the head
  Tensor pre_projection;   // [2 backbone_dim, dim]: the token's embedding, then the hidden state
  Tensor post_projection;  // [dim, backbone_dim]
  Tensor centroids;        // [dim, n_centroids], if there is an ordered head
};

struct Assistant {
  gguf::File file;
  AssistantConfig config;
  AssistantWeights weights;
  // Every token once, those of centroid 0 first, equally many for each: [n_vocab], or empty without an
  // ordered head.
  std::vector<int32_t> ordering;
};

// Opens an assistant in any dialect and checks everything that can be checked without its target. Errors are
// one line with the file's name.
Result<std::shared_ptr<const Assistant>> open_assistant(const std::string& path);
Result<std::shared_ptr<const Assistant>> make_assistant(gguf::File file);

// For each layer of the assistant, the target's layer whose keys and values it reads: the last owning one of
// its kind. Errors, if the two do not fit: widths, vocabularies, heads, windows or rotations that differ.
Result<std::vector<int>> draft_sources(const Assistant& assistant, const Model& target);

// Every tensor of an assistant in this dialect, and its keys: make_assistant() gives the config back. A
// config with an ordered head has its two tensors.
std::vector<TensorSlot> tensor_slots(const AssistantConfig& config, const AssistantDialect& dialect);
void describe(const AssistantConfig& config, const AssistantDialect& dialect, gguf::Metadata& metadata);

// The published assistant of a published size ("e2b"). Errors: published_config()'s.
Result<AssistantConfig> published_assistant(std::string_view size);
// An assistant of four layers, three sliding and a full one, whose keys are those of `target`, which has both
// kinds.
AssistantConfig assistant_for(const Config& target, int64_t dim, int64_t n_ff, int64_t n_heads);

}  // namespace carat
