// Layout and start values of the trainable numbers.
#include "train/parameters.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/random.h"

namespace carat::train {
namespace {

constexpr size_t kAlignment = 16;  // floats: a cache line

uint64_t hash_of(std::string_view text) {
  uint64_t hash = 0;
  for (const char c : text) hash = mix64(hash ^ static_cast<unsigned char>(c));
  return hash;
}

bool ends_with_any(std::string_view name, std::initializer_list<std::string_view> endings) {
  return std::any_of(endings.begin(), endings.end(),
                     [&](std::string_view end) { return name.ends_with(end); });
}

float start_gain(const Parameter& p) {
  if (ends_with_any(p.name, {"attn_q_norm.weight", "attn_k_norm.weight"}))
    return static_cast<float>(std::pow(static_cast<double>(p.size), -0.25));
  if (ends_with_any(p.name, {".post_attention_norm.weight", ".post_ffw_norm.weight"})) return 0.4f;
  if (p.layer >= 0 && p.name.ends_with(".post_norm.weight")) return 0.2f;
  if (p.name == "output_norm.weight") return 0.3f;
  return 1;
}

double start_deviation(const Parameter& p, const Config& config) {
  if (p.role == TensorRole::per_layer_embedding)
    return 1 / std::sqrt(static_cast<double>(config.per_layer_dim));
  return 1 / std::sqrt(static_cast<double>(p.n_columns()));  // the token table's columns are dim
}

Parameters lay_out(const Config& config, int first_layer, std::vector<TensorSlot> slots) {
  Parameters parameters{config, first_layer, {}, {}};
  size_t offset = 0;
  for (TensorSlot& slot : slots) {
    const int64_t size = slot.shape[0] * slot.shape[1] * slot.shape[2] * slot.shape[3];
    CHECK(size > 0);
    const bool trainable = slot.name != kRopeDivisors;
    parameters.list.push_back(
        {std::move(slot.name), slot.shape, slot.role, slot.layer, offset, size, trainable});
    offset += (static_cast<size_t>(size) + kAlignment - 1) / kAlignment * kAlignment;
  }
  parameters.values = AlignedArray<float>(offset);
  return parameters;
}

}  // namespace

void fill_rope_divisors(std::span<float> divisors) {
  const auto n_turning =
      static_cast<size_t>(std::lround(kRotatedShare * static_cast<double>(divisors.size())));
  for (size_t i = 0; i < divisors.size(); ++i) divisors[i] = i < n_turning ? 1.0f : 1e30f;
}

bool Parameter::is_matrix() const {
  return role == TensorRole::matrix || role == TensorRole::expert_matrix ||
         role == TensorRole::token_embedding || role == TensorRole::per_layer_embedding;
}

const Parameter* Parameters::find(std::string_view name) const {
  for (const Parameter& p : list)
    if (p.name == name) return &p;
  return nullptr;
}

int64_t Parameters::n_weights() const {
  int64_t n = 0;
  for (const Parameter& p : list) n += p.trainable ? p.size : 0;
  return n;
}

Parameters Parameters::clone() const {
  Parameters copy{config, first_layer, list, AlignedArray<float>(values.size())};
  std::memcpy(copy.values.data(), values.data(), values.size() * sizeof(float));
  return copy;
}

Parameters make_parameters(const Config& config, bool untied_head) {
  std::vector<TensorSlot> slots = tensor_slots(config);
  if (untied_head)
    slots.push_back(
        {"output.weight", {config.dim, config.n_vocab, 1, 1}, TensorRole::token_embedding, -1, false});
  return lay_out(config, 0, std::move(slots));
}

Config layer_config(const Config& whole, int layer) {
  Config config = whole;
  const LayerConfig& wanted = whole.layers[static_cast<size_t>(layer)];
  config.layers = {wanted};
  config.layers[0].kv_source = 0;
  if (!whole.owns_kv(layer)) {
    config.layers.push_back(whole.layers[static_cast<size_t>(wanted.kv_source)]);
    config.layers[0].kv_source = config.layers[1].kv_source = 1;
  }
  return config;
}

Parameters make_layer_parameters(const Config& whole, int layer) {
  const bool is_sliding = whole.layers[static_cast<size_t>(layer)].sliding;
  std::vector<TensorSlot> slots = tensor_slots(whole);
  std::erase_if(slots, [&](const TensorSlot& slot) {
    return slot.layer != layer && (is_sliding || slot.name != kRopeDivisors);
  });
  return lay_out(layer_config(whole, layer), layer, std::move(slots));
}

void initialize(Parameters& parameters, uint64_t seed) {
  for (const Parameter& p : parameters.list) {
    const std::span<float> values = parameters.of(p);
    if (p.name == kRopeDivisors) {
      fill_rope_divisors(values);
    } else if (p.is_matrix() || p.role == TensorRole::router) {
      Random random(mix64(seed) ^ hash_of(p.name));
      const double deviation = start_deviation(p, parameters.config);
      for (float& value : values) value = static_cast<float>(random.normal() * deviation);
    } else {
      std::fill(values.begin(), values.end(), p.role == TensorRole::norm ? start_gain(p) : 1.0f);
    }
  }
}

}  // namespace carat::train
