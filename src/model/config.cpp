// Reads a Config out of untrusted metadata: every number has a range, every array the right length, and
// whatever the keys leave open is resolved per layer. Defaults and traps: reference sheet 3.1 and 9.
#include "model/config.h"

#include <cmath>
#include <string_view>
#include <utility>

#include "gguf/layout.h"
#include "model/architecture.h"
#include "model/dialect.h"

namespace carat {
namespace {

// Far above anything published, low enough that products of two of them cannot overflow.
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxDim = 1 << 20;
constexpr int64_t kMaxHeads = 1 << 12;
constexpr int64_t kMaxHeadDim = 1 << 13;
constexpr int64_t kMaxFf = 1 << 24;
constexpr int64_t kMaxVocab = 1 << 24;
constexpr int64_t kMaxExperts = 1 << 12;
constexpr int64_t kMaxPositions = INT32_MAX;
// Without it a row of zeros has no norm.
constexpr double kMinEpsilon = 1e-12;

class ConfigReader {
 public:
  // Keys begin with `architecture`.
  ConfigReader(const gguf::File& file, std::string_view architecture)
      : metadata_(file.metadata), file_(file), architecture_(architecture) {}

  Result<Config> read_model() {
    TRY(read_sizes());
    config_.per_layer_dim = TRY(metadata_.integer_or(key("embedding_length_per_layer_input"), 0, kMaxDim, 0));
    config_.logit_soft_cap = static_cast<float>(TRY(number_or("final_logit_softcapping", 0, 1e9, 30)));
    TRY(read_experts());
    TRY(read_layers());
    TRY(read_kv_sources());
    TRY(read_suppressed_tokens());
    return std::move(config_);
  }

  Result<Config> read_assistant() {
    TRY(read_sizes());
    config_.logit_soft_cap = 0;
    TRY(read_layers());
    for (LayerConfig& layer : config_.layers) layer.kv_source = -1;
    return std::move(config_);
  }

 private:
  std::string key(std::string_view name) const { return fmt::format("{}.{}", architecture_, name); }

  Result<int64_t> integer(std::string_view name, int64_t min, int64_t max) const {
    return metadata_.integer(key(name), min, max);
  }

  // A finite number in [min, max]; `otherwise` if the key is absent.
  Result<double> number_or(std::string_view name, double min, double max, double otherwise) const {
    const double value = TRY(metadata_.number_or(key(name), otherwise));
    if (!(value >= min && value <= max))
      return fail("key '{}': {} is outside {}..{}", key(name), value, min, max);
    return value;
  }

  // One value per layer from an array of that length or a scalar.
  Result<std::vector<int64_t>> per_layer(std::string_view name, int64_t min, int64_t max) const {
    const gguf::Value* value = metadata_.find(key(name));
    const gguf::Array* array = value == nullptr ? nullptr : std::get_if<gguf::Array>(value);
    if (array != nullptr && gguf::size_of(*array) != n_layers_)
      return fail("key '{}': {} entries, expected one for each of {} layers", key(name),
                  gguf::size_of(*array), n_layers_);
    std::vector<int64_t> values = TRY(metadata_.integers(key(name), n_layers_));
    CHECK(values.size() == n_layers_);
    for (size_t i = 0; i < values.size(); ++i)
      if (values[i] < min || values[i] > max)
        return fail("key '{}': {} (layer {}) is outside {}..{}", key(name), values[i], i, min, max);
    return values;
  }

  Result<void> read_sizes() {
    config_.name = gguf::printable(metadata_.contains("general.name") ? TRY(metadata_.text("general.name"))
                                                                      : file_name());
    n_layers_ = static_cast<size_t>(TRY(integer("block_count", 1, kMaxLayers)));
    config_.dim = TRY(integer("embedding_length", 1, kMaxDim));
    config_.context_length = TRY(integer("context_length", 1, kMaxPositions));
    config_.norm_eps = static_cast<float>(
        TRY(number_or("attention.layer_norm_rms_epsilon", kMinEpsilon, 1, config_.norm_eps)));
    const Tensor* embedding = file_.find("token_embd.weight");
    if (embedding == nullptr) return fail("tensor 'token_embd.weight' is missing");
    config_.n_vocab = embedding->n_rows();
    if (config_.n_vocab < 1 || config_.n_vocab > kMaxVocab)
      return fail("tensor 'token_embd.weight': {} rows, expected 1..{}", config_.n_vocab, kMaxVocab);
    return {};
  }

  Result<void> read_experts() {
    config_.n_experts = TRY(metadata_.integer_or(key("expert_count"), 0, kMaxExperts, 0));
    if (config_.n_experts == 0) return {};
    config_.n_experts_used = TRY(integer("expert_used_count", 1, config_.n_experts));
    const std::vector<int64_t> widths = TRY(per_layer("expert_feed_forward_length", 1, kMaxFf));
    config_.n_expert_ff = widths[0];
    for (const int64_t width : widths)
      if (width != widths[0])
        return fail("key '{}': differs between layers, expected one width",
                    key("expert_feed_forward_length"));
    return {};
  }

  // Key and value heads must be equally long, and turned whole.
  Result<int64_t> head_dim(std::string_view suffix) const {
    const auto name = [&](std::string_view stem) { return fmt::format("{}{}", stem, suffix); };
    const int64_t dim = TRY(integer(name("attention.key_length"), 2, kMaxHeadDim));
    if (dim % 2 != 0)
      return fail("key '{}': {}, expected an even number", key(name("attention.key_length")), dim);
    TRY(expect_or_absent(name("attention.value_length"), dim));
    TRY(expect_or_absent(name("rope.dimension_count"), dim));
    return dim;
  }

  Result<void> expect_or_absent(std::string_view name, int64_t expected) const {
    const int64_t value = TRY(metadata_.integer_or(key(name), 0, INT32_MAX, expected));
    if (value != expected)
      return fail("key '{}': {}, expected {} as the key length", key(name), value, expected);
    return {};
  }

  // An array with one flag per layer, or a period n: every n-th layer is full.
  Result<std::vector<int64_t>> sliding_flags() const {
    constexpr std::string_view name = "attention.sliding_window_pattern";
    const gguf::Value* value = metadata_.find(key(name));
    if (value == nullptr || gguf::type_of(*value) == gguf::ValueType::Array) return per_layer(name, 0, 1);
    const int64_t period = TRY(integer(name, 0, kMaxLayers));
    std::vector<int64_t> flags;
    for (int64_t i = 0; i < static_cast<int64_t>(n_layers_); ++i)
      flags.push_back(period == 0 || (i + 1) % period != 0);
    return flags;
  }

  Result<void> read_layers() {
    const std::vector<int64_t> sliding = TRY(sliding_flags());
    const std::vector<int64_t> n_heads = TRY(per_layer("attention.head_count", 1, kMaxHeads));
    const std::vector<int64_t> n_kv_heads = TRY(per_layer("attention.head_count_kv", 1, kMaxHeads));
    const std::vector<int64_t> n_ff = TRY(per_layer("feed_forward_length", 1, kMaxFf));
    const int64_t full_dim = TRY(head_dim("")), sliding_dim = TRY(head_dim("_swa"));
    const double full_theta = TRY(number_or("rope.freq_base", 1, 1e12, 1e6));
    const double sliding_theta = TRY(number_or("rope.freq_base_swa", 1, 1e12, 1e4));
    const int64_t window = TRY(integer("attention.sliding_window", 1, kMaxPositions));
    for (size_t i = 0; i < n_layers_; ++i) {
      LayerConfig layer;
      layer.sliding = sliding[i] != 0;
      layer.head_dim = layer.sliding ? sliding_dim : full_dim;
      layer.n_heads = n_heads[i];
      layer.n_kv_heads = n_kv_heads[i];
      layer.n_ff = n_ff[i];
      layer.kv_source = static_cast<int>(i);
      layer.rope_theta = layer.sliding ? sliding_theta : full_theta;
      layer.window = layer.sliding ? window : 0;
      if (layer.n_heads % layer.n_kv_heads != 0)
        return fail("layer {} has {} query heads for {} key heads, expected a multiple", i, layer.n_heads,
                    layer.n_kv_heads);
      config_.layers.push_back(layer);
    }
    return {};
  }

  Result<void> read_kv_sources() {
    const int n_layers = static_cast<int>(n_layers_);
    const int64_t n_shared = TRY(metadata_.integer_or(key("attention.shared_kv_layers"), 0, n_layers - 1, 0));
    const int n_owning = n_layers - static_cast<int>(n_shared);
    for (int i = 0; i < n_layers; ++i) {
      LayerConfig& layer = config_.layers[static_cast<size_t>(i)];
      if (i < n_owning) {
        layer.k_is_v = !layer.sliding && file_.find(value_name(i)) == nullptr;
        continue;
      }
      const std::optional<int> owner = last_owner(config_.layers, n_owning, layer.sliding);
      if (!owner) return fail("layer {} shares keys, but no layer of its kind before it owns any", i);
      layer.kv_source = *owner;
      if (config_.layers[static_cast<size_t>(*owner)].n_kv_heads != layer.n_kv_heads)
        return fail("layer {} has {} key heads but shares the keys of layer {}, which has {}", i,
                    layer.n_kv_heads, *owner, config_.layers[static_cast<size_t>(*owner)].n_kv_heads);
    }
    return check_values_agree(n_owning);
  }

  static std::string value_name(int layer) { return fmt::format("blk.{}.attn_v.weight", layer); }

  // No key says that a model's full layers take their values from their keys: all of them then lack the
  // tensor. Where only some do, the file has lost it.
  Result<void> check_values_agree(int n_owning) const {
    std::optional<int> with, without;
    for (int i = 0; i < n_owning; ++i)
      if (!config_.layers[static_cast<size_t>(i)].sliding)
        (config_.layers[static_cast<size_t>(i)].k_is_v ? without : with) = i;
    if (with && without)
      return fail("tensor '{}' is missing, although layer {}, a full layer too, has its own",
                  value_name(*without), *with);
    return {};
  }

  // Each id once, in the file's order. Those beyond the vocabulary cannot be produced anyway; published files
  // have carried them.
  Result<void> read_suppressed_tokens() {
    constexpr std::string_view name = "tokenizer.ggml.suppress_tokens";
    if (!metadata_.contains(name)) return {};
    std::vector<bool> seen(static_cast<size_t>(config_.n_vocab));
    for (const int64_t id : TRY(metadata_.integers(name, 1))) {
      if (id < 0 || id >= config_.n_vocab || seen[static_cast<size_t>(id)]) continue;
      seen[static_cast<size_t>(id)] = true;
      config_.suppressed_tokens.push_back(static_cast<int32_t>(id));
    }
    return {};
  }

  std::string_view file_name() const {
    const std::string_view path = file_.path;
    return path.substr(path.find_last_of('/') + 1);
  }

  const gguf::Metadata& metadata_;
  const gguf::File& file_;
  std::string_view architecture_;
  Config config_;
  size_t n_layers_ = 0;
};

}  // namespace

int Config::last_kv_layer() const {
  int last = 0;
  for (int i = 0; i < n_layers(); ++i)
    if (owns_kv(i)) last = i;
  return last;
}

Result<Config> read_config(const gguf::File& file) {
  TRY(expect_text_model(file));
  Result<Config> config = ConfigReader(file, kGemma4).read_model();
  if (!config) return fail("{}: {}", file.path, config.error().message);
  return config;
}

Result<Config> read_assistant_layers(const gguf::File& file, std::string_view architecture) {
  Result<Config> config = ConfigReader(file, architecture).read_assistant();
  if (!config) return fail("{}: {}", file.path, config.error().message);
  return config;
}

}  // namespace carat
