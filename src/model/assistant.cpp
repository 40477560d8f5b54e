// Loads assistants: three names for every tensor beyond the layers, two ways of writing the ordered head's
// order.
#include "model/assistant.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "gguf/layout.h"
#include "model/rope.h"

namespace carat {
namespace {

constexpr int64_t kMaxBackboneDim = 1 << 20;
constexpr int64_t kDefaultCentroidsUsed = 32;

struct PublishedAssistant {
  std::string_view size;
  int64_t dim, n_ff, n_heads, n_centroids;
};

// Reference sheet 6.1; the heads of 26b-a4b's are inferred from its siblings.
constexpr PublishedAssistant kPublished[] = {
    {"e2b", 256, 2048, 4, 2048},    {"e4b", 256, 2048, 4, 2048}, {"12b", 1024, 8192, 16, 0},
    {"26b-a4b", 1024, 8192, 16, 0}, {"31b", 1024, 8192, 32, 0},
};

using TensorName = std::string_view AssistantDialect::*;

// The tensor under the name that any of the dialects has for it; nullptr: absent.
const Tensor* find_any(const gguf::File& file, TensorName name) {
  for (const AssistantDialect& dialect : assistant_dialects())
    if (const Tensor* tensor = file.find(dialect.*name)) return tensor;
  return nullptr;
}

Shape matrix(int64_t in, int64_t out) { return {in, out, 1, 1}; }

class AssistantReader {
 public:
  AssistantReader(const gguf::File& file, const AssistantDialect& dialect) : file_(file), dialect_(dialect) {}

  Result<Assistant> read() {
    config_.network = TRY(read_assistant_layers(file_, dialect_.architecture));
    TRY(in_file(read_backbone()));
    TRY(in_file(read_centroids()));
    TRY(read_weights());
    if (config_.n_centroids > 0) TRY(in_file(read_ordering()));
    return std::move(assistant_);
  }

 private:
  Result<void> in_file(Result<void> result) const {
    if (result) return result;
    return fail("{}: {}", file_.path, result.error().message);
  }

  std::string key(std::string_view name) const { return fmt::format("{}.{}", dialect_.architecture, name); }

  // The width stands in the projection's shape; keys, where there are any, must agree.
  Result<void> read_backbone() {
    const Tensor* projection = find_any(file_, &AssistantDialect::pre_projection);
    if (projection == nullptr) return fail("tensor '{}' is missing", dialect_.pre_projection);
    const int64_t width = projection->n_columns();
    if (width % 2 != 0 || width / 2 > kMaxBackboneDim)
      return fail("tensor '{}': rows of {}, expected twice the width of the target's hidden states",
                  projection->name, width);
    config_.backbone_dim = width / 2;
    for (const AssistantDialect& dialect : assistant_dialects()) {
      const std::string name = key(dialect.backbone_width);
      const int64_t stated = TRY(file_.metadata.integer_or(name, 1, kMaxBackboneDim, config_.backbone_dim));
      if (stated != config_.backbone_dim)
        return fail("key '{}': {}, expected {} as half of a row of '{}'", name, stated, config_.backbone_dim,
                    projection->name);
    }
    return {};
  }

  // Both tensors, or no ordered head; and none either where the file says that it is not to be used.
  Result<void> read_centroids() {
    const Tensor* centroids = find_any(file_, &AssistantDialect::centroids);
    const bool wanted = TRY(file_.metadata.boolean_or(key("use_ordered_embeddings"), true));
    if (centroids == nullptr || !wanted) return {};
    const int64_t n = centroids->n_rows();
    if (config_.network.n_vocab % n != 0)
      return fail("tensor '{}': {} centroids, expected a divisor of the {} tokens", centroids->name, n,
                  config_.network.n_vocab);
    for (const std::string_view name : {"n_centroids", "centroid_count"}) {
      const int64_t stated = TRY(file_.metadata.integer_or(key(name), 1, INT32_MAX, n));
      if (stated != n)
        return fail("key '{}': {}, expected {} as rows of '{}'", key(name), stated, n, centroids->name);
    }
    config_.n_centroids = n;
    config_.n_centroids_used =
        TRY(file_.metadata.integer_or(key("centroid_top_k"), 1, n, std::min(n, kDefaultCentroidsUsed)));
    return {};
  }

  Result<void> read_weights() {
    AssistantWeights& w = assistant_.weights;
    std::vector<ExtraTensor> extras;
    for (TensorSlot& slot : extra_slots(config_, dialect_)) {
      const TensorName name = field_of(slot.name);
      if (const Tensor* tensor = find_any(file_, name)) slot.name = tensor->name;
      Tensor* place = name == &AssistantDialect::pre_projection    ? &w.pre_projection
                      : name == &AssistantDialect::post_projection ? &w.post_projection
                      : name == &AssistantDialect::centroids       ? &w.centroids
                                                                   : &ordering_;
      extras.push_back({std::move(slot), place});
    }
    if (config_.n_centroids == 0)  // an ordered head that the file says is not to be used
      for (const TensorName name : {&AssistantDialect::centroids, &AssistantDialect::ordering})
        if (const Tensor* tensor = find_any(file_, name))
          extras.push_back({{std::string(tensor->name)}, nullptr});
    w.network = TRY(find_weights(file_, config_.network, extras));
    return {};
  }

  TensorName field_of(std::string_view name) const {
    for (const TensorName field : {&AssistantDialect::pre_projection, &AssistantDialect::post_projection,
                                   &AssistantDialect::centroids, &AssistantDialect::ordering})
      if (dialect_.*field == name) return field;
    CHECK(false && "extra_slots() has no other");
    return nullptr;
  }

  std::vector<int64_t> ordering_values() const {
    std::vector<int64_t> values(static_cast<size_t>(config_.network.n_vocab));
    for (size_t i = 0; i < values.size(); ++i) {
      int32_t narrow = 0;
      if (ordering_.type == TensorType::I64) {
        std::memcpy(&values[i], ordering_.data + i * sizeof(int64_t), sizeof(int64_t));
      } else {
        std::memcpy(&narrow, ordering_.data + i * sizeof narrow, sizeof narrow);
        values[i] = narrow;
      }
    }
    return values;
  }

  // Files hold the order itself, or each token's centroid. Only one centroid for each token could be both,
  // and then both mean the same up to the centroids' order, which nothing else knows: such a file is taken as
  // an order.
  Result<void> read_ordering() {
    const std::vector<int64_t> values = ordering_values();
    const int64_t n_vocab = config_.network.n_vocab;
    std::vector<bool> seen(values.size());
    bool is_order = true;
    for (const int64_t value : values) {
      if (value < 0 || value >= n_vocab)
        return fail("tensor '{}': value {} is no token, expected 0..{}", ordering_.name, value, n_vocab - 1);
      is_order = is_order && !seen[static_cast<size_t>(value)];
      seen[static_cast<size_t>(value)] = true;
    }
    if (is_order) {
      assistant_.ordering.assign(values.begin(), values.end());
      return {};
    }
    return read_centroid_of_tokens(values);
  }

  Result<void> read_centroid_of_tokens(const std::vector<int64_t>& values) {
    const int64_t n_each = config_.network.n_vocab / config_.n_centroids;
    std::vector<int64_t> n_placed(static_cast<size_t>(config_.n_centroids));
    assistant_.ordering.resize(values.size());
    for (size_t token = 0; token < values.size(); ++token) {
      const int64_t centroid = values[token];
      if (centroid >= config_.n_centroids || n_placed[static_cast<size_t>(centroid)] == n_each)
        return fail("tensor '{}': neither every token once nor {} tokens for each of {} centroids",
                    ordering_.name, n_each, config_.n_centroids);
      const int64_t place = centroid * n_each + n_placed[static_cast<size_t>(centroid)]++;
      assistant_.ordering[static_cast<size_t>(place)] = static_cast<int32_t>(token);
    }
    return {};
  }

 public:
  // What an assistant has beyond the tensors of its layers.
  static std::vector<TensorSlot> extra_slots(const AssistantConfig& config, const AssistantDialect& dialect) {
    const int64_t dim = config.network.dim, width = config.backbone_dim;
    std::vector<TensorSlot> slots = {
        {std::string(dialect.pre_projection), matrix(2 * width, dim), TensorRole::matrix, -1, true},
        {std::string(dialect.post_projection), matrix(dim, width), TensorRole::matrix, -1, true},
    };
    if (config.n_centroids == 0) return slots;
    slots.push_back(
        {std::string(dialect.centroids), matrix(dim, config.n_centroids), TensorRole::matrix, -1, true});
    slots.push_back(
        {std::string(dialect.ordering), {config.network.n_vocab, 1, 1, 1}, TensorRole::table, -1, true});
    return slots;
  }

 private:
  const gguf::File& file_;
  const AssistantDialect& dialect_;
  Assistant assistant_;
  AssistantConfig& config_ = assistant_.config;
  Tensor ordering_;
};

Result<void> check_tokens(const Assistant& assistant, const Model& target) {
  constexpr std::string_view name = "tokenizer.ggml.tokens";
  if (!assistant.file.metadata.contains(name)) return {};
  const auto texts = TRY(assistant.file.metadata.texts(name));
  if (static_cast<int64_t>(texts.size()) != target.tokenizer.n_tokens())
    return fail("{} tokens, but the target has {}", texts.size(), target.tokenizer.n_tokens());
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::string_view expected = target.tokenizer.token_text(static_cast<Token>(i));
    if (texts[i] != expected)
      return fail("token {} is '{}', but the target's is '{}'", i, gguf::printable(texts[i]),
                  gguf::printable(expected));
  }
  return {};
}

Result<void> check_layer(const LayerConfig& layer, const LayerConfig& source) {
  if (layer.head_dim != source.head_dim || layer.n_kv_heads != source.n_kv_heads)
    return fail("{} key heads of {}, but the target caches {} of {}", layer.n_kv_heads, layer.head_dim,
                source.n_kv_heads, source.head_dim);
  if (layer.window != source.window)
    return fail("a window of {}, but the target's is {}", layer.window, source.window);
  if (layer.sliding && layer.window < 2) return fail("a window of {}, expected at least 2", layer.window);
  if (layer.rope_theta != source.rope_theta)
    return fail("rotations with base {}, but the target's keys have {}", layer.rope_theta, source.rope_theta);
  return {};
}

Result<std::vector<int>> find_sources(const Assistant& assistant, const Model& target) {
  const Config& own = assistant.config.network;
  if (assistant.config.backbone_dim != target.config.dim)
    return fail("hidden states of {}, but the target's have {}", assistant.config.backbone_dim,
                target.config.dim);
  if (own.n_vocab != target.config.n_vocab)
    return fail("{} tokens, but the target has {}", own.n_vocab, target.config.n_vocab);
  TRY(check_tokens(assistant, target));
  std::vector<int> sources;
  for (size_t i = 0; i < own.layers.size(); ++i) {
    int source = target.config.n_layers() - 1;
    const auto fits = [&](int j) {
      return target.config.owns_kv(j) &&
             target.config.layers[static_cast<size_t>(j)].sliding == own.layers[i].sliding;
    };
    while (source >= 0 && !fits(source)) --source;
    if (source < 0) return fail("layer {}: the target caches no keys of a layer of its kind", i);
    const auto checked = check_layer(own.layers[i], target.config.layers[static_cast<size_t>(source)]);
    if (!checked) return fail("layer {}: {}", i, checked.error().message);
    if (inverse_frequencies(own.layers[i], assistant.weights.network.rope_divisors) !=
        inverse_frequencies(target.config.layers[static_cast<size_t>(source)], target.weights.rope_divisors))
      return fail("layer {}: rotations with other divisors (rope_freqs.weight) than the target's keys", i);
    sources.push_back(source);
  }
  return sources;
}

}  // namespace

Result<std::shared_ptr<const Assistant>> open_assistant(const std::string& path) {
  return make_assistant(TRY(gguf::open(path)));
}

Result<std::shared_ptr<const Assistant>> make_assistant(gguf::File file) {
  const AssistantDialect* dialect = TRY(expect_assistant(file));
  Assistant assistant = TRY(AssistantReader(file, *dialect).read());
  assistant.file = std::move(file);
  return std::make_shared<const Assistant>(std::move(assistant));
}

Result<std::vector<int>> draft_sources(const Assistant& assistant, const Model& target) {
  auto sources = find_sources(assistant, target);
  if (!sources)
    return fail("{} does not draft for {}: {}", assistant.file.path, target.file.path,
                sources.error().message);
  return sources;
}

std::vector<TensorSlot> tensor_slots(const AssistantConfig& config, const AssistantDialect& dialect) {
  std::vector<TensorSlot> slots = tensor_slots(config.network);
  for (TensorSlot& slot : AssistantReader::extra_slots(config, dialect)) slots.push_back(std::move(slot));
  return slots;
}

void describe(const AssistantConfig& config, const AssistantDialect& dialect, gguf::Metadata& metadata) {
  describe(config.network, dialect.architecture, metadata);
  const auto set = [&](std::string_view key, gguf::Value value) {
    metadata.set(fmt::format("{}.{}", dialect.architecture, key), std::move(value));
  };
  set(dialect.backbone_width, static_cast<uint32_t>(config.backbone_dim));
  set("nextn_predict_layers", static_cast<uint32_t>(config.network.n_layers()));
  if (config.n_centroids == 0) return;
  set("use_ordered_embeddings", true);
  set(dialect.n_centroids, static_cast<uint32_t>(config.n_centroids));
  set("centroid_top_k", static_cast<uint32_t>(config.n_centroids_used));
}

Result<AssistantConfig> published_assistant(std::string_view size) {
  const Config target = TRY(published_config(size));
  for (const PublishedAssistant& published : kPublished) {
    if (published.size != size) continue;
    AssistantConfig config = assistant_for(target, published.dim, published.n_ff, published.n_heads);
    config.n_centroids = published.n_centroids;
    config.n_centroids_used = published.n_centroids == 0 ? 0 : kDefaultCentroidsUsed;
    return config;
  }
  CHECK(false && "every published size has a row");
  return AssistantConfig();
}

AssistantConfig assistant_for(const Config& target, int64_t dim, int64_t n_ff, int64_t n_heads) {
  AssistantConfig config;
  config.backbone_dim = target.dim;
  Config& own = config.network;
  own.name = fmt::format("{} assistant", target.name);
  own.dim = dim;
  own.n_vocab = target.n_vocab;
  own.context_length = target.context_length;
  own.norm_eps = target.norm_eps;
  own.logit_soft_cap = 0;
  for (const bool sliding : {true, true, true, false}) {
    const auto like = std::ranges::find(target.layers, sliding, &LayerConfig::sliding);
    CHECK(like != target.layers.end());
    LayerConfig layer = *like;
    layer.n_heads = n_heads;
    layer.n_ff = n_ff;
    layer.kv_source = -1;
    layer.k_is_v = false;
    own.layers.push_back(layer);
  }
  return config;
}

}  // namespace carat
