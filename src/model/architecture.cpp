// The tables behind architecture.h: tensors per config, keys per config, published shapes.
#include "model/architecture.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "model/dialect.h"

namespace carat {
namespace {

Shape vector_shape(int64_t n) { return {n, 1, 1, 1}; }
Shape matrix_shape(int64_t in, int64_t out) { return {in, out, 1, 1}; }

class SlotList {
 public:
  explicit SlotList(const Config& config) : config_(config) {}

  std::vector<TensorSlot> take() { return std::move(slots_); }

  void add_model() {
    const int64_t all_layers_dim = config_.per_layer_dim * config_.n_layers();
    add("token_embd.weight", matrix_shape(config_.dim, config_.n_vocab), TensorRole::token_embedding);
    if (config_.per_layer_dim > 0) {
      add("per_layer_token_embd.weight", matrix_shape(all_layers_dim, config_.n_vocab),
          TensorRole::per_layer_embedding);
      add("per_layer_model_proj.weight", matrix_shape(config_.dim, all_layers_dim), TensorRole::matrix);
      add("per_layer_proj_norm.weight", vector_shape(config_.per_layer_dim), TensorRole::norm);
    }
    for (const LayerConfig& layer : config_.layers) {
      if (layer.sliding) continue;
      add("rope_freqs.weight", vector_shape(layer.head_dim / 2), TensorRole::scale, false);
      break;
    }
    add("output_norm.weight", vector_shape(config_.dim), TensorRole::norm);
  }

  void add_layer(int index) {
    layer_ = index;
    add_attention(config_.layers[static_cast<size_t>(index)]);
    add_ffn(config_.layers[static_cast<size_t>(index)]);
    if (config_.n_experts > 0) add_experts();
    if (config_.per_layer_dim > 0) {
      add("inp_gate.weight", matrix_shape(config_.dim, config_.per_layer_dim), TensorRole::matrix);
      add("proj.weight", matrix_shape(config_.per_layer_dim, config_.dim), TensorRole::matrix);
      add("post_norm.weight", vector_shape(config_.dim), TensorRole::norm);
    }
    add("layer_output_scale.weight", vector_shape(1), TensorRole::scale, false);
  }

 private:
  void add(std::string_view name, const Shape& shape, TensorRole role, bool required = true) {
    std::string full = layer_ < 0 ? std::string(name) : fmt::format("blk.{}.{}", layer_, name);
    slots_.push_back({std::move(full), shape, role, layer_, required});
  }

  void add_attention(const LayerConfig& layer) {
    add("attn_norm.weight", vector_shape(config_.dim), TensorRole::norm);
    add("attn_q.weight", matrix_shape(config_.dim, layer.q_size()), TensorRole::matrix);
    add("attn_q_norm.weight", vector_shape(layer.head_dim), TensorRole::norm);
    if (layer.kv_source == layer_) {
      add("attn_k.weight", matrix_shape(config_.dim, layer.kv_size()), TensorRole::matrix);
      add("attn_k_norm.weight", vector_shape(layer.head_dim), TensorRole::norm);
      if (!layer.k_is_v) add("attn_v.weight", matrix_shape(config_.dim, layer.kv_size()), TensorRole::matrix);
    }
    add("attn_output.weight", matrix_shape(layer.q_size(), config_.dim), TensorRole::matrix);
    add("post_attention_norm.weight", vector_shape(config_.dim), TensorRole::norm);
  }

  void add_ffn(const LayerConfig& layer) {
    add("ffn_norm.weight", vector_shape(config_.dim), TensorRole::norm);
    add("ffn_gate.weight", matrix_shape(config_.dim, layer.n_ff), TensorRole::matrix);
    add("ffn_up.weight", matrix_shape(config_.dim, layer.n_ff), TensorRole::matrix);
    add("ffn_down.weight", matrix_shape(layer.n_ff, config_.dim), TensorRole::matrix);
    add("post_ffw_norm.weight", vector_shape(config_.dim), TensorRole::norm);
  }

  void add_experts() {
    const int64_t dim = config_.dim, n_ff = config_.n_expert_ff, n = config_.n_experts;
    add("ffn_gate_inp.weight", matrix_shape(dim, n), TensorRole::router);
    add("ffn_gate_inp.scale", vector_shape(dim), TensorRole::scale);
    add("ffn_gate_up_exps.weight", {dim, 2 * n_ff, n, 1}, TensorRole::expert_matrix);
    add("ffn_down_exps.weight", {n_ff, dim, n, 1}, TensorRole::expert_matrix);
    add("ffn_down_exps.scale", vector_shape(n), TensorRole::scale);
    add("post_ffw_norm_1.weight", vector_shape(dim), TensorRole::norm);
    add("pre_ffw_norm_2.weight", vector_shape(dim), TensorRole::norm);
    add("post_ffw_norm_2.weight", vector_shape(dim), TensorRole::norm);
  }

  const Config& config_;
  int layer_ = -1;
  std::vector<TensorSlot> slots_;
};

uint32_t u32(int64_t value) { return static_cast<uint32_t>(value); }

// One number if all layers agree, an array otherwise: both forms are found in published files.
gguf::Value scalar_or_array(const std::vector<LayerConfig>& layers, int64_t LayerConfig::*field) {
  std::vector<int32_t> values;
  for (const LayerConfig& layer : layers) values.push_back(static_cast<int32_t>(layer.*field));
  const bool uniform = std::all_of(values.begin(), values.end(), [&](int32_t v) { return v == values[0]; });
  if (uniform) return u32(values[0]);
  return gguf::Array(std::move(values));
}

// The first sliding (or full) layer; where there is none, the other kind stands in so that every key has a
// value.
const LayerConfig& example_of(const Config& config, bool sliding) {
  for (const LayerConfig& layer : config.layers)
    if (layer.sliding == sliding) return layer;
  return config.layers.front();
}

struct PublishedSize {
  std::string_view size, name, pattern;
  int n_layers, n_shared;
  int64_t dim, n_heads, n_kv_heads_sliding, n_kv_heads_full, n_ff, n_ff_shared, window, per_layer_dim;
  bool k_is_v;
  int64_t n_experts, n_experts_used, n_expert_ff;
  int64_t context_length;
};

// Reference sheet 1.1. Head dims are 256 (sliding) and 512 (full), the vocabulary 262144, everywhere.
constexpr std::array<PublishedSize, 5> kPublished{{
    {"e2b", "gemma-4-E2B", "SSSSF", 35, 20, 1536, 8, 1, 1, 6144, 12288, 512, 256, false, 0, 0, 0, 131072},
    {"e4b", "gemma-4-E4B", "SSSSSF", 42, 18, 2560, 8, 2, 2, 10240, 10240, 512, 256, false, 0, 0, 0, 131072},
    {"12b", "gemma-4-12B", "SSSSSF", 48, 0, 3840, 16, 8, 1, 15360, 15360, 1024, 0, true, 0, 0, 0, 262144},
    {"26b-a4b", "gemma-4-26B-A4B", "SSSSSF", 30, 0, 2816, 16, 8, 2, 2112, 2112, 1024, 0, true, 128, 8, 704,
     262144},
    {"31b", "gemma-4-31B", "SSSSSF", 60, 0, 5376, 32, 16, 4, 21504, 21504, 1024, 0, true, 0, 0, 0, 262144},
}};

Config make_published(const PublishedSize& size) {
  LayerConfig sliding;
  sliding.sliding = true;
  sliding.head_dim = 256;
  sliding.n_heads = size.n_heads;
  sliding.n_kv_heads = size.n_kv_heads_sliding;
  sliding.n_ff = size.n_ff;
  sliding.rope_theta = 1e4;
  sliding.window = size.window;
  LayerConfig full = sliding;
  full.sliding = false;
  full.head_dim = 512;
  full.n_kv_heads = size.n_kv_heads_full;
  full.k_is_v = size.k_is_v;
  full.rope_theta = 1e6;
  full.window = 0;

  Config config;
  config.name = size.name;
  config.dim = size.dim;
  config.n_vocab = 262144;
  config.context_length = size.context_length;
  config.per_layer_dim = size.per_layer_dim;
  config.n_experts = size.n_experts;
  config.n_experts_used = size.n_experts_used;
  config.n_expert_ff = size.n_expert_ff;
  config.layers = make_layers(size.pattern, size.n_layers, size.n_shared, sliding, full);
  for (int i = size.n_layers - size.n_shared; i < size.n_layers; ++i)
    config.layers[static_cast<size_t>(i)].n_ff = size.n_ff_shared;
  if (size.size == "12b") config.suppressed_tokens = {258883, 258882};  // its media end markers
  return config;
}

}  // namespace

std::vector<TensorSlot> tensor_slots(const Config& config) {
  SlotList list(config);
  list.add_model();
  for (int i = 0; i < config.n_layers(); ++i) list.add_layer(i);
  return list.take();
}

void describe(const Config& config, gguf::Metadata& metadata) { describe(config, kGemma4, metadata); }

void describe(const Config& config, std::string_view architecture, gguf::Metadata& metadata) {
  CHECK(!config.layers.empty());
  const LayerConfig& sliding = example_of(config, true);
  const LayerConfig& full = example_of(config, false);
  const auto set = [&](std::string_view key, gguf::Value value) {
    metadata.set(fmt::format("{}.{}", architecture, key), std::move(value));
  };
  std::vector<bool> pattern;
  int64_t n_shared = 0;
  for (int i = 0; i < config.n_layers(); ++i) {
    pattern.push_back(config.layers[static_cast<size_t>(i)].sliding);
    if (!config.owns_kv(i)) ++n_shared;
  }

  metadata.set("general.architecture", std::string(architecture));
  if (!config.name.empty()) metadata.set("general.name", config.name);
  set("context_length", u32(config.context_length));
  set("embedding_length", u32(config.dim));
  set("block_count", u32(config.n_layers()));
  set("feed_forward_length", scalar_or_array(config.layers, &LayerConfig::n_ff));
  set("attention.head_count", scalar_or_array(config.layers, &LayerConfig::n_heads));
  set("attention.head_count_kv", scalar_or_array(config.layers, &LayerConfig::n_kv_heads));
  set("attention.key_length", u32(full.head_dim));
  set("attention.value_length", u32(full.head_dim));
  set("attention.key_length_swa", u32(sliding.head_dim));
  set("attention.value_length_swa", u32(sliding.head_dim));
  set("attention.layer_norm_rms_epsilon", config.norm_eps);
  set("attention.sliding_window", u32(sliding.sliding ? sliding.window : config.context_length));
  set("attention.sliding_window_pattern", gguf::Array(std::move(pattern)));
  set("attention.shared_kv_layers", u32(n_shared));
  set("embedding_length_per_layer_input", u32(config.per_layer_dim));
  set("rope.freq_base", static_cast<float>(full.rope_theta));
  set("rope.freq_base_swa", static_cast<float>(sliding.rope_theta));
  set("rope.dimension_count", u32(full.head_dim));
  set("rope.dimension_count_swa", u32(sliding.head_dim));
  set("final_logit_softcapping", config.logit_soft_cap);
  if (config.n_experts > 0) {
    set("expert_count", u32(config.n_experts));
    set("expert_used_count", u32(config.n_experts_used));
    set("expert_feed_forward_length", u32(config.n_expert_ff));
  }
  if (!config.suppressed_tokens.empty())
    metadata.set("tokenizer.ggml.suppress_tokens", gguf::Array(config.suppressed_tokens));
}

Result<Config> published_config(std::string_view size) {
  for (const PublishedSize& published : kPublished)
    if (published.size == size) return make_published(published);
  return fail("unknown model size '{}': expected one of {}", size, fmt::join(published_sizes(), ", "));
}

std::vector<std::string_view> published_sizes() {
  std::vector<std::string_view> sizes;
  for (const PublishedSize& published : kPublished) sizes.push_back(published.size);
  return sizes;
}

std::vector<LayerConfig> make_layers(std::string_view pattern, int n_layers, int n_shared,
                                     const LayerConfig& sliding, const LayerConfig& full) {
  CHECK(!pattern.empty() && n_layers >= 1 && n_shared >= 0 && n_shared < n_layers);
  std::vector<LayerConfig> layers;
  for (int i = 0; i < n_layers; ++i) {
    const char kind = i == n_layers - 1 ? 'F' : pattern[static_cast<size_t>(i) % pattern.size()];
    CHECK(kind == 'S' || kind == 'F');
    LayerConfig layer = kind == 'S' ? sliding : full;
    layer.kv_source = i;
    if (i >= n_layers - n_shared) {
      const std::optional<int> owner = last_owner(layers, n_layers - n_shared, layer.sliding);
      CHECK(owner.has_value());  // the pattern leaves this kind without an owner
      layer.kv_source = *owner;
      layer.k_is_v = false;
    }
    layers.push_back(layer);
  }
  return layers;
}

std::optional<int> last_owner(std::span<const LayerConfig> layers, int n_owning, bool sliding) {
  for (int i = n_owning - 1; i >= 0; --i)
    if (layers[static_cast<size_t>(i)].sliding == sliding) return i;
  return std::nullopt;
}

}  // namespace carat
