// Config: what a Gemma 4 file says about itself, resolved to one LayerConfig per layer, so that the network
// asks for features and never for a model's name. Facts: docs/ARCHITECTURE.md "The network".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/reader.h"

namespace carat {

struct LayerConfig {
  bool sliding = false;  // S layer (window) or F layer (full attention)
  int64_t head_dim = 0;
  int64_t n_heads = 0;
  int64_t n_kv_heads = 0;
  int64_t n_ff = 0;  // dense FFN width
  // Layer whose cache this layer reads; its own index if it owns K and V; -1 in an assistant, which reads the
  // target's.
  int kv_source = 0;
  bool k_is_v = false;  // V is the raw K projection (no V weight)
  double rope_theta = 10000;
  int64_t window = 0;  // keys seen by a sliding layer, itself included; 0 for a full layer

  int64_t q_size() const { return n_heads * head_dim; }
  int64_t kv_size() const { return n_kv_heads * head_dim; }

  bool operator==(const LayerConfig&) const = default;
};

struct Config {
  std::string name;  // general.name or the file's, as printable text
  int64_t dim = 0;   // H
  int64_t n_vocab = 0;
  int64_t context_length = 0;
  float norm_eps = 1e-6f;
  float logit_soft_cap = 30;  // 0: none
  int64_t per_layer_dim = 0;  // per-layer embeddings; 0: none
  int64_t n_experts = 0, n_experts_used = 0, n_expert_ff = 0;
  std::vector<LayerConfig> layers;
  std::vector<int32_t> suppressed_tokens;  // never produced: -inf after the soft cap; no id twice

  int n_layers() const { return static_cast<int>(layers.size()); }
  bool owns_kv(int layer) const { return layers[static_cast<size_t>(layer)].kv_source == layer; }
  // The last layer that writes keys and values: later ones need only the rows whose logits are wanted.
  int last_kv_layer() const;

  bool operator==(const Config&) const = default;
};

// Reads and checks every key of an architecture "gemma4" file. Which layers have a V weight is read off the
// tensors.
Result<Config> read_config(const gguf::File& file);

// The same for the layers of an MTP assistant (assistant.h) whose keys begin with `architecture`: no layer
// owns keys, and logits have no soft cap.
Result<Config> read_assistant_layers(const gguf::File& file, std::string_view architecture);

}  // namespace carat
