// Finds and checks weights: the slots of architecture.h name what must be there, a table says where each
// goes.
#include "model/weights.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <unordered_map>

#include "model/architecture.h"
#include "quant/codec.h"

namespace carat {
namespace {

struct LayerField {
  std::string_view name;  // after "blk.N."
  Tensor LayerWeights::*field;
};

constexpr LayerField kLayerFields[] = {
    {"attn_norm.weight", &LayerWeights::attn_norm},
    {"attn_q.weight", &LayerWeights::q},
    {"attn_k.weight", &LayerWeights::k},
    {"attn_v.weight", &LayerWeights::v},
    {"attn_output.weight", &LayerWeights::o},
    {"attn_q_norm.weight", &LayerWeights::q_norm},
    {"attn_k_norm.weight", &LayerWeights::k_norm},
    {"post_attention_norm.weight", &LayerWeights::post_attention_norm},
    {"ffn_norm.weight", &LayerWeights::ffn_norm},
    {"ffn_gate.weight", &LayerWeights::gate},
    {"ffn_up.weight", &LayerWeights::up},
    {"ffn_down.weight", &LayerWeights::down},
    {"post_ffw_norm.weight", &LayerWeights::post_ffw_norm},
    {"layer_output_scale.weight", &LayerWeights::output_scale},
    {"inp_gate.weight", &LayerWeights::per_layer_gate},
    {"proj.weight", &LayerWeights::per_layer_proj},
    {"post_norm.weight", &LayerWeights::per_layer_post_norm},
    {"ffn_gate_inp.weight", &LayerWeights::router},
    {"ffn_gate_inp.scale", &LayerWeights::router_scale},
    {"ffn_gate_up_exps.weight", &LayerWeights::expert_gate_up},
    {"ffn_down_exps.weight", &LayerWeights::expert_down},
    {"ffn_down_exps.scale", &LayerWeights::expert_down_scale},
    {"post_ffw_norm_1.weight", &LayerWeights::post_ffw_norm_1},
    {"pre_ffw_norm_2.weight", &LayerWeights::pre_ffw_norm_2},
    {"post_ffw_norm_2.weight", &LayerWeights::post_ffw_norm_2},
};

struct ModelField {
  std::string_view name;
  Tensor Weights::*field;
};

constexpr ModelField kModelFields[] = {
    {"token_embd.weight", &Weights::token_embedding},
    {"output_norm.weight", &Weights::output_norm},
    {"rope_freqs.weight", &Weights::rope_divisors},
    {"per_layer_token_embd.weight", &Weights::per_layer_embedding},
    {"per_layer_model_proj.weight", &Weights::per_layer_model_proj},
    {"per_layer_proj_norm.weight", &Weights::per_layer_proj_norm},
};

// Published files have 1 and, for pairs that do not turn, 1e30. Far below 1 an angle has no digits left.
constexpr float kMinRopeDivisor = 1e-3f;

bool must_be_f32(TensorRole role) { return role == TensorRole::norm || role == TensorRole::scale; }

class Finder {
 public:
  Finder(const gguf::File& file, const Config& config) : file_(file), config_(config) {}

  Result<Weights> find() {
    weights_.layers.resize(config_.layers.size());
    for (const TensorSlot& slot : tensor_slots(config_)) TRY(fill(slot));
    TRY(find_output());
    TRY(check_output_scales());
    TRY(check_rope_divisors());
    return std::move(weights_);
  }

 private:
  Result<void> fill(const TensorSlot& slot) {
    if (slot.name.ends_with("ffn_gate_up_exps.weight") && file_.find(slot.name) == nullptr)
      return find_separate_experts(slot);
    Tensor* place = place_of(slot);
    CHECK(place != nullptr);
    const Tensor* tensor = file_.find(slot.name);
    if (tensor == nullptr) return slot.required ? missing(slot.name, slot.shape) : Result<void>();
    TRY(check(*tensor, slot.shape, slot.role));
    *place = *tensor;
    return {};
  }

  Tensor* place_of(const TensorSlot& slot) {
    if (slot.layer < 0) {
      for (const ModelField& field : kModelFields)
        if (slot.name == field.name) return &(weights_.*field.field);
      return nullptr;
    }
    const std::string_view name =
        std::string_view(slot.name).substr(fmt::format("blk.{}.", slot.layer).size());
    for (const LayerField& field : kLayerFields)
      if (name == field.name) return &(weights_.layers[static_cast<size_t>(slot.layer)].*field.field);
    return nullptr;
  }

  // Some converters leave the experts' gate and up matrices apart.
  Result<void> find_separate_experts(const TensorSlot& fused) {
    LayerWeights& layer = weights_.layers[static_cast<size_t>(fused.layer)];
    const Shape shape{fused.shape[0], fused.shape[1] / 2, fused.shape[2], 1};
    const std::string gate_name = fmt::format("blk.{}.ffn_gate_exps.weight", fused.layer);
    const std::string up_name = fmt::format("blk.{}.ffn_up_exps.weight", fused.layer);
    const Tensor* gate = file_.find(gate_name);
    const Tensor* up = file_.find(up_name);
    if (gate == nullptr && up == nullptr) return missing(fused.name, fused.shape);
    if (gate == nullptr) return missing(gate_name, shape);
    if (up == nullptr) return missing(up_name, shape);
    TRY(check(*gate, shape, fused.role));
    TRY(check(*up, shape, fused.role));
    layer.expert_gate = *gate;
    layer.expert_up = *up;
    return {};
  }

  Result<void> find_output() {
    weights_.output = weights_.token_embedding;
    const Tensor* output = file_.find("output.weight");
    if (output == nullptr) return {};
    TRY(check(*output, weights_.token_embedding.shape, TensorRole::token_embedding));
    weights_.output = *output;
    return {};
  }

  // The layers' scalars are optional together: a file without any means ones, a file without one has lost it.
  Result<void> check_output_scales() const {
    const auto has_scale = [](const LayerWeights& layer) { return layer.output_scale.data != nullptr; };
    const bool some = std::any_of(weights_.layers.begin(), weights_.layers.end(), has_scale);
    for (size_t i = 0; some && i < weights_.layers.size(); ++i)
      if (!has_scale(weights_.layers[i]))
        return missing(fmt::format("blk.{}.layer_output_scale.weight", i), {1, 1, 1, 1});
    return {};
  }

  Result<void> check(const Tensor& tensor, const Shape& shape, TensorRole role) const {
    if (tensor.shape != shape)
      return fail("{}: tensor '{}': shape {}, expected {}", file_.path, tensor.name, to_string(tensor.shape),
                  to_string(shape));
    if (must_be_f32(role) && tensor.type != TensorType::F32)
      return fail("{}: tensor '{}': type {}, expected F32", file_.path, tensor.name, type_name(tensor.type));
    if (find_codec(tensor.type) == nullptr)
      return fail("{}: tensor '{}': type {}, expected one that Carat computes with", file_.path, tensor.name,
                  type_name(tensor.type));
    return must_be_f32(role) ? Result<void>() : check_companion(tensor);
  }

  // NVFP4 files may scale a whole matrix by one more tensor. Ignoring it would be silently wrong.
  Result<void> check_companion(const Tensor& tensor) const {
    constexpr std::string_view suffix = ".weight";
    if (!tensor.name.ends_with(suffix)) return {};
    const std::string_view stem = tensor.name.substr(0, tensor.name.size() - suffix.size());
    if (stem.ends_with("ffn_gate_inp") || stem.ends_with("ffn_down_exps"))
      return {};  // the network's own scales
    const Tensor* scale = file_.find(fmt::format("{}.scale", stem));
    if (scale == nullptr) return {};
    bool neutral = scale->type == TensorType::F32;
    for (int64_t i = 0; neutral && i < scale->n_elements(); ++i) neutral = scale->f32()[i] == 1;
    if (neutral) return {};
    return fail(
        "{}: tensor '{}': a scale of the whole matrix other than 1, expected scales inside the blocks only",
        file_.path, scale->name);
  }

  Result<void> check_rope_divisors() const {
    const Tensor& divisors = weights_.rope_divisors;
    for (int64_t i = 0; divisors && i < divisors.n_elements(); ++i) {
      const float divisor = divisors.f32()[i];
      if (!std::isfinite(divisor) || divisor < kMinRopeDivisor)
        return fail("{}: tensor '{}': value {} is {}, expected a finite number from {} on", file_.path,
                    divisors.name, i, divisor, kMinRopeDivisor);
    }
    return {};
  }

  Error missing(std::string_view name, const Shape& shape) const {
    return fail("{}: tensor '{}' is missing, expected shape {}", file_.path, name, to_string(shape));
  }

  const gguf::File& file_;
  const Config& config_;
  Weights weights_;
};

}  // namespace

Result<Weights> find_weights(const gguf::File& file, const Config& config) {
  return Finder(file, config).find();
}

}  // namespace carat
