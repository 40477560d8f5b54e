// Finds and checks weights: the slots of architecture.h name what must be there, a table says where each
// goes.
#include "model/weights.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <optional>
#include <unordered_set>

#include "gguf/layout.h"
#include "quant/codec.h"
#include "quant/recipe.h"

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

bool is_vector(TensorRole role) { return role == TensorRole::norm || role == TensorRole::scale; }

constexpr std::string_view kBlock = "blk.", kWeight = ".weight", kScale = ".scale",
                           kInputScale = ".input_scale";

// "blk.0.attn_q" of "blk.0.attn_q.weight"; nullopt where the name has another ending.
std::optional<std::string_view> stem_of(std::string_view name, std::string_view ending) {
  if (!name.ends_with(ending)) return std::nullopt;
  return name.substr(0, name.size() - ending.size());
}

// Their ".scale"s belong to the network, in files of every type.
bool has_own_scale(std::string_view stem) {
  return stem.ends_with("ffn_gate_inp") || stem.ends_with("ffn_down_exps");
}

class Finder {
 public:
  Finder(const gguf::File& file, const Config& config) : file_(file), config_(config) {}

  Result<Weights> find(std::span<const ExtraTensor> extras) {
    weights_.layers.resize(config_.layers.size());
    for (const TensorSlot& slot : tensor_slots(config_)) TRY(fill(slot));
    for (const ExtraTensor& extra : extras) {
      if (extra.place != nullptr)
        TRY(fill(extra.slot, *extra.place));
      else
        used_.insert(extra.slot.name);
    }
    TRY(find_output());
    TRY(check_output_scales());
    TRY(check_rope_divisors());
    TRY(refuse_unknown());
    weights_.converted = converted_;
    return std::move(weights_);
  }

 private:
  Result<void> fill(const TensorSlot& slot) {
    if (slot.name.ends_with("ffn_gate_up_exps.weight") && file_.find(slot.name) == nullptr)
      return find_separate_experts(slot);
    Tensor* place = place_of(slot);
    CHECK(place != nullptr);
    return fill(slot, *place);
  }

  Result<void> fill(const TensorSlot& slot, Tensor& place) {
    const Tensor* tensor = file_.find(slot.name);
    if (tensor == nullptr) return slot.required ? missing(slot.name, slot.shape) : Result<void>();
    place = TRY(take(*tensor, slot.shape, slot.role));
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
    layer.expert_gate = TRY(take(*gate, shape, fused.role));
    layer.expert_up = TRY(take(*up, shape, fused.role));
    return {};
  }

  Result<void> find_output() {
    weights_.output = weights_.token_embedding;
    const Tensor* output = file_.find("output.weight");
    if (output == nullptr) return {};
    weights_.output = TRY(take(*output, weights_.token_embedding.shape, TensorRole::token_embedding));
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

  // The tensor as the network wants it: of the right shape, vectors in F32, matrices with their scale.
  Result<Tensor> take(const Tensor& tensor, const Shape& shape, TensorRole role) {
    used_.insert(tensor.name);
    if (tensor.shape != shape)
      return fail("{}: tensor '{}': shape {}, expected {}", file_.path, tensor.name, to_string(tensor.shape),
                  to_string(shape));
    if (is_vector(role)) return as_f32(tensor);
    if (role == TensorRole::table) return as_integers(tensor);
    if (find_codec(tensor.type) == nullptr)
      return fail("{}: tensor '{}': type {}, expected one that Carat computes with", file_.path, tensor.name,
                  type_name(tensor.type));
    Tensor taken = tensor;
    const Tensor* scale = find_scale(file_, tensor.name);
    if (scale != nullptr) taken.scale = TRY(factors(*scale, shape[2]));
    return taken;
  }

  // Published files have norms and scales in F32; 16 bits lose nothing that was there.
  Result<Tensor> as_f32(const Tensor& tensor) {
    if (!is_float(tensor.type))
      return fail("{}: tensor '{}': type {}, expected F32", file_.path, printable_name(tensor),
                  type_name(tensor.type));
    if (tensor.type == TensorType::F32) return tensor;
    std::vector<float>& values = converted_->emplace_back(static_cast<size_t>(tensor.n_elements()));
    codec_of(tensor.type).decode(tensor.data, tensor.n_elements(), values.data());
    Tensor converted{tensor.name, TensorType::F32, tensor.shape,
                     reinterpret_cast<const std::byte*>(values.data())};
    return converted;
  }

  Result<Tensor> as_integers(const Tensor& tensor) const {
    if (tensor.type == TensorType::I32 || tensor.type == TensorType::I64) return tensor;
    return fail("{}: tensor '{}': type {}, expected I32 or I64", file_.path, printable_name(tensor),
                type_name(tensor.type));
  }

  // The factors of a stack of n matrices.
  Result<const float*> factors(const Tensor& tensor, int64_t n) {
    used_.insert(tensor.name);
    if (tensor.shape != Shape{n, 1, 1, 1})
      return fail("{}: tensor '{}': shape {}, expected {}", file_.path, printable_name(tensor),
                  to_string(tensor.shape), to_string({n, 1, 1, 1}));
    const Tensor scale = TRY(as_f32(tensor));
    for (int64_t i = 0; i < n; ++i)
      if (!std::isfinite(scale.f32()[i]))
        return fail("{}: tensor '{}': value {} is {}, expected a finite number", file_.path,
                    printable_name(tensor), i, scale.f32()[i]);
    return scale.f32();
  }

  // Whatever the file holds beyond what was used would be part of another network: a bias, a norm, a layer's
  // keys where the file's own keys say that it has none.
  Result<void> refuse_unknown() const {
    for (const Tensor& tensor : file_.tensors)
      if (!used_.contains(tensor.name) && !is_dead(tensor.name))
        return fail("{}: tensor '{}': no part of the network that the file's keys describe", file_.path,
                    printable_name(tensor));
    return {};
  }

  // Tensors that files are known to hold although nobody reads them.
  bool is_dead(std::string_view name) const {
    if (name == "rope_freqs.weight") return true;
    // The scale of a product's input: processors without 4-bit arithmetic do not round it.
    if (const auto stem = stem_of(name, kInputScale))
      return file_.find(fmt::format("{}{}", *stem, kWeight)) != nullptr;
    const std::optional<int64_t> layer = layer_of(name);
    if (!layer || *layer >= config_.n_layers() || config_.owns_kv(static_cast<int>(*layer))) return false;
    const std::string_view rest = name.substr(name.find('.', kBlock.size()) + 1);
    return rest == "attn_k.weight" || rest == "attn_v.weight" || rest == "attn_k_norm.weight" ||
           rest == "attn_k.scale" || rest == "attn_v.scale";
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

  static std::string printable_name(const Tensor& tensor) { return gguf::printable(tensor.name); }

  const gguf::File& file_;
  const Config& config_;
  Weights weights_;
  std::shared_ptr<std::deque<std::vector<float>>> converted_ =
      std::make_shared<std::deque<std::vector<float>>>();
  std::unordered_set<std::string_view> used_;  // names
};

}  // namespace

Result<Weights> find_weights(const gguf::File& file, const Config& config,
                             std::span<const ExtraTensor> extras) {
  return Finder(file, config).find(extras);
}

std::vector<const Tensor*> tensors_of(const LayerWeights& layer) {
  std::vector<const Tensor*> tensors;
  const auto add = [&](const Tensor& tensor) {
    if (tensor.data != nullptr) tensors.push_back(&tensor);
  };
  for (const LayerField& field : kLayerFields) add(layer.*field.field);
  add(layer.expert_gate), add(layer.expert_up);  // they have no slot of their own
  return tensors;
}

const Tensor* find_scale(const gguf::File& file, std::string_view weight) {
  const auto stem = stem_of(weight, kWeight);
  if (!stem || has_own_scale(*stem)) return nullptr;
  return file.find(fmt::format("{}{}", *stem, kScale));
}

}  // namespace carat
