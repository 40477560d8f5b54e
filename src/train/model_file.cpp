// Reading and writing parameters as GGUF files.
#include "train/model_file.h"

#include <algorithm>

#include "gguf/writer.h"
#include "quant/codec.h"
#include "quant/recipe.h"

namespace carat::train {
namespace {

// Parameters have no scales beside them: what the file has is multiplied in.
Result<void> decode_into(const gguf::File& file, const Tensor& tensor, const Parameter& p,
                         std::span<float> out, ThreadPool& pool) {
  if (tensor.shape != p.shape)
    return fail("tensor '{}': expected shape {}, found {}", p.name, to_string(p.shape),
                to_string(tensor.shape));
  if (find_codec(tensor.type) == nullptr)
    return fail("tensor '{}': type {} cannot be decoded", p.name, type_name(tensor.type));
  Tensor scaled = tensor;
  std::vector<float> factors;
  if (const Tensor* scale = find_scale(file, tensor.name)) {  // a Model: its shape and type are checked
    factors.resize(static_cast<size_t>(scale->n_elements()));
    decode_tensor(*scale, factors.data(), pool);
    scaled.scale = factors.data();
  }
  decode_tensor(scaled, out.data(), pool);
  return {};
}

// Experts stored as separate gate and up stacks, put together row by row of experts: gate rows first.
Result<void> join_experts(const gguf::File& file, const Parameter& p, std::span<float> out,
                          ThreadPool& pool) {
  const int64_t half = p.shape[0] * p.shape[1] / 2;
  for (const bool up : {false, true}) {
    const std::string name = fmt::format("blk.{}.{}.weight", p.layer, up ? "ffn_up_exps" : "ffn_gate_exps");
    const Tensor* tensor = file.find(name);
    if (tensor == nullptr) return fail("tensor '{}' is missing, and so is '{}'", p.name, name);
    Parameter part = p;
    part.name = name;
    part.shape[1] /= 2;
    std::vector<float> values(out.size() / 2);
    TRY(decode_into(file, *tensor, part, values, pool));
    for (int64_t e = 0; e < p.shape[2]; ++e)
      std::copy_n(values.data() + e * half, half, out.data() + (2 * e + (up ? 1 : 0)) * half);
  }
  return {};
}

Result<void> load_one(const gguf::File& file, const Parameter& p, std::span<float> out, ThreadPool& pool) {
  const Tensor* tensor = file.find(p.name);
  if (tensor != nullptr) return decode_into(file, *tensor, p, out, pool);
  if (p.name.ends_with("ffn_gate_up_exps.weight")) return join_experts(file, p, out, pool);
  if (p.role != TensorRole::scale) return fail("tensor '{}' is missing", p.name);
  if (p.name == kRopeDivisors)
    fill_rope_divisors(out);  // as the engine turns without them
  else
    std::fill(out.begin(), out.end(), 1.0f);
  return {};
}

Result<Parameters> load_all(const Model& model, Parameters parameters, ThreadPool& pool) {
  for (const Parameter& p : parameters.list) {
    const Result<void> loaded = load_one(model.file, p, parameters.of(p), pool);
    if (!loaded.has_value()) return fail("{}: {}", model.file.path, loaded.error().message);
  }
  return parameters;
}

void copy_tokenizer(const gguf::Metadata& from, gguf::Metadata& to) {
  for (const gguf::Metadata::Entry& entry : from.entries()) {
    if (!entry.key.starts_with("tokenizer.") || to.contains(entry.key)) continue;
    const auto* array = std::get_if<gguf::Array>(&entry.value);
    const auto* texts = array == nullptr ? nullptr : std::get_if<std::vector<std::string_view>>(array);
    if (texts == nullptr) {
      to.set(entry.key, entry.value);
    } else {
      const std::vector<std::string> owned(texts->begin(), texts->end());
      to.set_texts(entry.key, owned);
    }
  }
}

// Encodes a parameter in pieces of some rows. `parameters` outlives the writing.
gguf::TensorToWrite encoded(const Parameters& parameters, const Parameter& p, TensorType type) {
  const auto produce = [&parameters, &p, type](const gguf::ByteSink& sink) -> Result<void> {
    const Codec& codec = codec_of(type);
    std::vector<std::byte> row(static_cast<size_t>(row_bytes(type, p.n_columns())));
    for (int64_t r = 0; r < p.n_rows(); ++r) {
      codec.encode(parameters.of(p).data() + r * p.n_columns(), p.n_columns(), nullptr, row.data());
      TRY(sink(row));
    }
    return {};
  };
  return {p.name, type, p.shape, produce};
}

}  // namespace

Result<Parameters> load_parameters(const Model& model, ThreadPool& pool) {
  return load_all(model, make_parameters(model.config, model.file.find("output.weight") != nullptr), pool);
}

Result<Parameters> load_layer(const Model& model, int layer, ThreadPool& pool) {
  return load_all(model, make_layer_parameters(model.config, layer), pool);
}

Result<void> save_parameters(const Parameters& parameters, const std::string& path,
                             const SaveOptions& options) {
  const TypePlan plan = TRY(plan_types(parameters, options.type, options.overrides));
  gguf::Metadata metadata;
  describe(parameters.config, metadata);
  for (const auto& [key, value] : options.metadata) metadata.set(key, value);
  if (!is_float(options.type)) {
    metadata.set("general.quantization_version", kQuantizationVersion);
    if (const auto file_type = file_type_of({.type = options.type})) metadata.set("general.file_type", *file_type);
  }
  if (options.tokenizer != nullptr) copy_tokenizer(*options.tokenizer, metadata);
  // Matrices that no recipe quantizes stay at 16 bits, as in published files.
  const TensorType kept = is_float(options.type) ? options.type : TensorType::BF16;
  std::vector<gguf::TensorToWrite> tensors;
  for (size_t i = 0; i < plan.size(); ++i) {
    const Parameter& p = parameters.list[i];
    tensors.push_back(encoded(parameters, p, plan[i].value_or(p.is_matrix() ? kept : TensorType::F32)));
  }
  return gguf::write(path, metadata, tensors);
}

}  // namespace carat::train
