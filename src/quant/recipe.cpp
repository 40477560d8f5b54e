// The rules of quant/recipe.h as tables and small functions.
#include "quant/recipe.h"

#include <charconv>

#include "base/text.h"

namespace carat {
namespace {

using enum TensorType;

struct NamedMix {
  std::string_view name;
  Recipe recipe;
  uint32_t file_type;
};

constexpr NamedMix kMixes[] = {
    {"Q4_K_S", {Q4_K, Mix::Small}, 14},
    {"Q4_K_M", {Q4_K, Mix::Medium}, 15},
    {"Q5_K_S", {Q5_K, Mix::Small}, 16},
    {"Q5_K_M", {Q5_K, Mix::Medium}, 17},
};

struct PureFileType {
  TensorType type;
  uint32_t file_type;
};

// Pure K files carry the number of the middle mix around their type, as llama-quantize's do: the format has
// none of their own.
constexpr PureFileType kPureFileTypes[] = {
    {F32, 0},      {F16, 1},    {Q4_0, 2},    {Q4_1, 3},   {Q8_0, 7},   {Q5_0, 8},     {Q5_1, 9},
    {Q2_K, 10},    {Q3_K, 12},  {Q4_K, 15},   {Q5_K, 17},  {Q6_K, 18},  {IQ2_XXS, 19}, {IQ2_XS, 20},
    {IQ3_XXS, 23}, {IQ1_S, 24}, {IQ4_NL, 25}, {IQ3_S, 26}, {IQ2_S, 28}, {IQ4_XS, 30},  {IQ1_M, 31},
    {BF16, 32},    {TQ1_0, 36}, {TQ2_0, 37},  {MXFP4, 38}, {NVFP4, 39}, {Q1_0, 40},    {Q2_0, 41},
};

// Parts of names that keep a tensor's type: small, or known to suffer more than they save.
constexpr std::string_view kKept[] = {
    "_norm.weight", "ffn_gate_inp.weight", "altup",         "laurel",   "per_layer_model_proj",
    "ssm_conv1d",   "attn_rel_b.weight",   "position_embd", "pos_embd", "patch_embd",
    "token_types",  "time_mix_",           "indexer",
};
// Vision and audio towers and their projectors.
constexpr std::string_view kKeptPrefixes[] = {"v.", "a.", "mm."};

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// The first eighth, the last eighth, and every third of those between.
bool more_bits(int64_t i, int64_t n) { return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2; }

bool fits(TensorType type, int64_t n_columns) { return n_columns % type_info(type).block_length == 0; }

TensorType smaller_block_of(TensorType type) {
  switch (type) {
    case IQ1_S:
    case IQ1_M:
    case IQ2_XXS:
    case IQ2_XS:
    case IQ2_S:
    case IQ3_XXS:
    case IQ3_S:
    case IQ4_XS:
    case NVFP4:
      return IQ4_NL;
    case Q2_K:
    case Q3_K:
    case TQ1_0:
    case TQ2_0:
    case Q1_0:
    case Q2_0:
      return Q4_0;
    case Q4_K:
      return Q5_0;
    case Q5_K:
      return Q5_1;
    case Q6_K:
      return Q8_0;
    default:
      return F16;
  }
}

}  // namespace

Result<Recipe> parse_recipe(std::string_view name) {
  for (const NamedMix& mix : kMixes)
    if (equal_ignoring_case(mix.name, name)) return mix.recipe;
  const auto type = parse_type_name(name);
  if (type && file_type_of({*type, Mix::Pure})) return Recipe{*type, Mix::Pure};
  return fail(
      "'{}' is no recipe: expected a tensor type such as Q4_0, or one of Q4_K_S, Q4_K_M, Q5_K_S, Q5_K_M",
      name);
}

std::optional<uint32_t> file_type_of(const Recipe& recipe) {
  for (const NamedMix& mix : kMixes)
    if (mix.recipe.type == recipe.type && mix.recipe.mix == recipe.mix) return mix.file_type;
  if (recipe.mix != Mix::Pure) return std::nullopt;
  for (const PureFileType& pure : kPureFileTypes)
    if (pure.type == recipe.type) return pure.file_type;
  return std::nullopt;
}

bool is_quantizable(const Tensor& tensor) {
  if (tensor.n_rows() < 2 || !tensor.name.ends_with("weight")) return false;
  for (const std::string_view part : kKept)
    if (contains(tensor.name, part)) return false;
  for (const std::string_view prefix : kKeptPrefixes)
    if (tensor.name.starts_with(prefix)) return false;
  return true;
}

TensorType fitting_type(TensorType type, int64_t n_columns) {
  if (fits(type, n_columns)) return type;
  const TensorType smaller = smaller_block_of(type);
  return fits(smaller, n_columns) ? smaller : F16;
}

bool is_embedding_table(std::string_view name) {
  return name == "token_embd.weight" || name == "per_layer_token_embd.weight";
}

std::optional<int64_t> layer_of(std::string_view name) {
  constexpr std::string_view prefix = "blk.";
  if (!name.starts_with(prefix)) return std::nullopt;
  int64_t layer = 0;
  const char* end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data() + prefix.size(), end, layer);
  if (error != std::errc() || rest == end || *rest != '.' || layer < 0) return std::nullopt;
  return layer;
}

TensorType Mixer::next(const Tensor& tensor) {
  if (recipe_.mix == Mix::Pure) return recipe_.type;
  const bool is_output = context_.tied ? is_embedding_table(tensor.name) : tensor.name == "output.weight";
  if (is_output) return for_output(tensor);
  if (contains(tensor.name, "attn_v.weight")) return for_attn_v();
  if (has_few_experts() && contains(tensor.name, "attn_k.weight")) return Q8_0;
  if (has_few_experts() && contains(tensor.name, "attn_output.weight")) return Q5_K;
  if (contains(tensor.name, "ffn_down")) return for_ffn_down(tensor);
  return recipe_.type;
}

TensorType Mixer::for_output(const Tensor& tensor) const {
  return fits(recipe_.type, tensor.n_columns()) ? Q6_K : Q8_0;
}

TensorType Mixer::for_attn_v() {
  const int64_t i = i_attn_v_++;
  if (has_few_experts()) return Q8_0;
  if (recipe_.mix == Mix::Medium) return more_bits(i, context_.n_attn_v) ? Q6_K : recipe_.type;
  return i < 4 ? Q5_K : recipe_.type;
}

TensorType Mixer::for_ffn_down(const Tensor& tensor) {
  const int64_t count = i_ffn_down_++;
  const int64_t i = context_.n_experts > 0 ? layer_of(tensor.name).value_or(count) : count;
  if (recipe_.mix == Mix::Medium) return more_bits(i, context_.n_layers) ? Q6_K : recipe_.type;
  return i < context_.n_layers / 8 ? Q5_K : recipe_.type;
}

}  // namespace carat
