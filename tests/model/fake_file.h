// A gguf::File made in memory from a Config: right shapes, values all zero (rope divisors one). For tests of
// loading.
#pragma once

#include <algorithm>
#include <deque>
#include <string>
#include <vector>

#include "gguf/reader.h"
#include "model/architecture.h"
#include "model/vocabulary.h"

namespace carat {

struct FakeFile {
  explicit FakeFile(const Config& config, TensorType type = TensorType::F32) {
    file.path = "fake.gguf";
    describe(config, file.metadata);
    for (const TensorSlot& slot : tensor_slots(config)) {
      const bool plain = slot.role == TensorRole::norm || slot.role == TensorRole::scale;
      add(slot.name, slot.shape, plain ? TensorType::F32 : type);
    }
    set_values("rope_freqs.weight", 1);
  }

  void add(const std::string& name, const Shape& shape, TensorType type) {
    Tensor tensor{names.emplace_back(name), type, shape, nullptr};
    data.emplace_back(tensor.n_bytes() / sizeof(float) + 1);
    tensor.data = reinterpret_cast<const std::byte*>(data.back().data());
    file.index[tensor.name] = file.tensors.size();
    file.tensors.push_back(tensor);
  }

  void remove(const std::string& name) {
    if (file.find(name) == nullptr) return;
    const auto i = static_cast<ptrdiff_t>(file.index.at(name));
    file.tensors.erase(file.tensors.begin() + i);
    data.erase(data.begin() + i);
    file.index.clear();
    for (size_t j = 0; j < file.tensors.size(); ++j) file.index[file.tensors[j].name] = j;
  }
  Tensor& tensor(const std::string& name) { return file.tensors[file.index.at(name)]; }

  void set_values(const std::string& name, float value) {
    if (file.find(name) != nullptr)
      std::fill(data[file.index.at(name)].begin(), data[file.index.at(name)].end(), value);
  }

  std::deque<std::string> names;
  std::deque<std::vector<float>> data;  // of tensor i
  gguf::File file;
};

// Small configs that between them have every feature.
inline LayerConfig tiny_layer(bool sliding) {
  LayerConfig layer;
  layer.sliding = sliding;
  layer.head_dim = sliding ? 16 : 32;
  layer.n_heads = 4;
  layer.n_kv_heads = sliding ? 2 : 1;
  layer.n_ff = 64;
  layer.rope_theta = sliding ? 1e4 : 1e6;
  layer.window = sliding ? 8 : 0;
  return layer;
}

inline Config tiny_config(std::string_view pattern, int n_layers, int n_shared, bool k_is_v) {
  Config config;
  config.name = "tiny";
  config.dim = 64;
  config.n_vocab = kMinSampleTokens;
  config.context_length = 256;
  LayerConfig full = tiny_layer(false);
  full.k_is_v = k_is_v;
  config.layers = make_layers(pattern, n_layers, n_shared, tiny_layer(true), full);
  return config;
}

// Per-layer embeddings, shared caches, wider FFN where the cache is shared.
inline Config tiny_ple_config() {
  Config config = tiny_config("SSF", 7, 3, false);
  config.per_layer_dim = 32;
  for (size_t i = 4; i < 7; ++i) config.layers[i].n_ff = 128;
  return config;
}

// V is K on full layers.
inline Config tiny_dense_config() { return tiny_config("SSF", 6, 0, true); }

inline Config tiny_moe_config() {
  Config config = tiny_config("SF", 4, 0, true);
  config.n_experts = 6;
  config.n_experts_used = 2;
  config.n_expert_ff = 32;
  config.suppressed_tokens = {7, 300};
  return config;
}

}  // namespace carat
