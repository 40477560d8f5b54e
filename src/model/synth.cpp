// Random weights. Matrices are put together from a pool of encoded random blocks, so that a model of many
// gigabytes is written at the speed of the disk and not of an encoder.
#include "model/synth.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <numeric>
#include <tuple>
#include <vector>

#include "base/random.h"
#include "gguf/writer.h"
#include "model/architecture.h"
#include "model/vocabulary.h"
#include "quant/codec.h"

namespace carat {
namespace {

constexpr int64_t kPoolBlocks = 1024;  // per row scale
constexpr int64_t kMaxChunk = 256;     // elements of a pool block of formats without blocks
constexpr int64_t kMinRowBlocks = 8;   // shorter rows are not made of pool blocks: two could be the same
constexpr size_t kPieceBytes = size_t{1} << 20;

// Gains of what a branch adds to the residual stream: small, or rounding would grow from layer to layer.
constexpr float kBranchGain = 0.4f;
constexpr float kHeadGain = 4;
// Wide enough that the last of the chosen experts weighs little: otherwise each near-tie between it and the
// next one turns rounding noise into another result, and nothing could be compared.
constexpr float kRouterSpread = 4;

uint64_t seed_of(uint64_t seed, std::string_view name) {
  for (const char c : name) seed = mix64(seed ^ static_cast<unsigned char>(c));
  return seed;
}

// Elements of a pool block, given the row that is made of them.
int64_t chunk_of(TensorType type, int64_t n_columns) {
  const int64_t block_length = type_info(type).block_length;
  return block_length > 1 ? block_length : std::gcd(n_columns, kMaxChunk);
}

// One row scale for matrices; for embeddings several, which gives the logits the heavy tail that lets one
// token stand out of a large vocabulary.
std::vector<float> row_scales(float spread, TensorRole role) {
  if (role != TensorRole::token_embedding) return {spread};
  std::vector<float> scales;
  for (int i = -4; i <= 4; ++i) scales.push_back(spread * std::exp(0.2f * static_cast<float>(i)));
  return scales;
}

void encode_normal(const Codec& codec, float spread, Random& random, std::span<float> values, std::byte* out) {
  for (float& value : values) value = static_cast<float>(double{spread} * random.normal());
  codec.encode(values.data(), static_cast<int64_t>(values.size()), nullptr, out);
}

// For formats without an encoder: random bytes under the scale that gives each block's values the spread.
void random_codes(const Codec& codec, float spread, Random& random, std::span<float> values, std::byte* out) {
  const TypeInfo& info = type_info(codec.type);
  for (size_t first = 0; first < values.size(); first += info.block_length, out += info.block_bytes) {
    for (size_t i = 0; i < info.block_bytes; ++i) out[i] = static_cast<std::byte>(random.bits());
    codec.set_scale(1, out);
    codec.decode(out, info.block_length, values.data());
    double squares = 0;
    for (const float value : values.first(info.block_length)) squares += double{value} * value;
    codec.set_scale(spread / static_cast<float>(std::sqrt(squares / info.block_length)), out);
  }
}

// Blocks of random values of standard deviation `spread`; `values` is scratch, as long as the row.
void random_row(TensorType type, float spread, Random& random, std::span<float> values, std::byte* out) {
  const Codec& codec = codec_of(type);
  codec.encode != nullptr ? encode_normal(codec, spread, random, values, out)
                          : random_codes(codec, spread, random, values, out);
}

// Encoded random blocks: kPoolBlocks for each scale.
class BlockPool {
 public:
  BlockPool(TensorType type, int64_t chunk, std::span<const float> scales, uint64_t seed)
      : n_scales_(static_cast<int64_t>(scales.size())), chunk_bytes_(row_bytes(type, chunk)) {
    encoded_.resize(static_cast<size_t>(n_scales_ * kPoolBlocks) * chunk_bytes_);
    Random random(seed);
    std::vector<float> values(static_cast<size_t>(chunk));
    for (int64_t i = 0; i < n_scales_ * kPoolBlocks; ++i)
      random_row(type, scales[static_cast<size_t>(i / kPoolBlocks)], random, values,
                 encoded_.data() + static_cast<size_t>(i) * chunk_bytes_);
  }

  // A row of random blocks of one random scale.
  void make_row(Random& random, std::span<std::byte> row) const {
    const int64_t first = random.below(n_scales_) * kPoolBlocks;
    for (size_t at = 0; at < row.size(); at += chunk_bytes_) {
      const int64_t block = first + static_cast<int64_t>(random.bits() % kPoolBlocks);
      std::memcpy(row.data() + at, encoded_.data() + static_cast<size_t>(block) * chunk_bytes_, chunk_bytes_);
    }
  }

 private:
  int64_t n_scales_;
  size_t chunk_bytes_;
  std::vector<std::byte> encoded_;
};

// Tensors of one type and spread draw from one pool.
class Pools {
 public:
  explicit Pools(uint64_t seed) : seed_(seed) {}

  const BlockPool& get(TensorType type, int64_t n_columns, float spread, TensorRole role) {
    const int64_t chunk = chunk_of(type, n_columns);
    auto& pool = pools_[{type, chunk, spread, role == TensorRole::token_embedding}];
    if (!pool) pool = std::make_unique<BlockPool>(type, chunk, row_scales(spread, role), seed_);
    return *pool;
  }

 private:
  uint64_t seed_;
  std::map<std::tuple<TensorType, int64_t, float, bool>, std::unique_ptr<BlockPool>> pools_;
};

// Standard deviation of a matrix's elements.
float spread_of(const TensorSlot& slot, const Config& config) {
  if (slot.role == TensorRole::router) return kRouterSpread;
  const int64_t n = slot.role == TensorRole::per_layer_embedding ? config.per_layer_dim : slot.shape[0];
  return 1 / std::sqrt(static_cast<float>(n));
}

gguf::TensorToWrite random_matrix(const TensorSlot& slot, TensorType type, float spread, uint64_t seed,
                                  const std::shared_ptr<Pools>& pools) {
  const auto produce = [=](const gguf::ByteSink& sink) -> Result<void> {
    const int64_t n_columns = slot.shape[0];
    const bool pooled = n_columns / chunk_of(type, n_columns) >= kMinRowBlocks;
    const BlockPool* pool = pooled ? &pools->get(type, n_columns, spread, slot.role) : nullptr;
    const std::vector<float> scales = row_scales(spread, slot.role);
    std::vector<float> values(static_cast<size_t>(n_columns));
    const size_t row_size = row_bytes(type, n_columns);
    std::vector<std::byte> piece(std::max<size_t>(1, kPieceBytes / row_size) * row_size);
    const std::span<std::byte> rows(piece);
    Random random(seed);
    const auto make_row = [&](std::span<std::byte> row) {
      if (pool != nullptr) return pool->make_row(random, row);
      const size_t scale = static_cast<size_t>(random.below(static_cast<int64_t>(scales.size())));
      random_row(type, scales[scale], random, values, row.data());
    };
    uint64_t left = static_cast<uint64_t>(slot.shape[1] * slot.shape[2] * slot.shape[3]) * row_size;
    while (left > 0) {
      const size_t n_bytes = std::min<uint64_t>(left, piece.size());
      for (size_t at = 0; at < n_bytes; at += row_size) make_row(rows.subspan(at, row_size));
      TRY(sink(rows.first(n_bytes)));
      left -= n_bytes;
    }
    return {};
  };
  return {slot.name, type, slot.shape, produce};
}

bool ends_with_any(std::string_view text, std::initializer_list<std::string_view> endings) {
  return std::any_of(endings.begin(), endings.end(), [&](std::string_view e) { return text.ends_with(e); });
}

// The centre of a vector of gains.
float gain_of(const TensorSlot& slot) {
  if (ends_with_any(slot.name, {"attn_q_norm.weight", "attn_k_norm.weight"}))
    return 1 / std::sqrt(std::sqrt(static_cast<float>(slot.shape[0])));  // scores q k of spread 1
  if (ends_with_any(slot.name, {"post_attention_norm.weight", "post_ffw_norm.weight", ".post_norm.weight"}))
    return kBranchGain;
  return slot.name == "output_norm.weight" ? kHeadGain : 1;
}

gguf::TensorToWrite random_vector(const TensorSlot& slot, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(static_cast<size_t>(slot.shape[0]));
  for (float& value : values) {
    value = gain_of(slot) * static_cast<float>(1 + 0.1 * random.normal());
    // Random signs in the last norm: with a tied head the last token would otherwise predict itself.
    if (slot.name == "output_norm.weight" && random.below(2) == 0) value = -value;
  }
  if (slot.name == "rope_freqs.weight")  // the first quarter of the pairs turns
    for (size_t i = 0; i < values.size(); ++i) values[i] = i < values.size() / 4 ? 1 : 1e30f;
  return gguf::owned_f32(slot.name, slot.shape, values);
}

// Every number once, in random order.
gguf::TensorToWrite random_order(const TensorSlot& slot, uint64_t seed) {
  Random random(seed);
  std::vector<int32_t> order(static_cast<size_t>(slot.shape[0]));
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = slot.shape[0] - 1; i > 0; --i)
    std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(random.below(i + 1))]);
  const auto bytes = std::as_bytes(std::span(order));
  return gguf::owned(slot.name, TensorType::I32, slot.shape, {bytes.begin(), bytes.end()});
}

gguf::TensorToWrite random_slot(const TensorSlot& slot, const Config& config, const SynthWeights& weights,
                                const std::shared_ptr<Pools>& pools) {
  const uint64_t seed = seed_of(weights.seed, slot.name);
  TensorType type = weights.matrix_type;
  switch (slot.role) {
    case TensorRole::norm:
    case TensorRole::scale:
      return random_vector(slot, seed);
    case TensorRole::table:
      return random_order(slot, seed);
    case TensorRole::router:
      type = TensorType::F32;
      break;
    case TensorRole::token_embedding:
    case TensorRole::per_layer_embedding:
      type = weights.embedding_type;
      break;
    case TensorRole::matrix:
    case TensorRole::expert_matrix:
      // Quantizers leave this one alone, so published files have it in 16 bits.
      if (slot.name == "per_layer_model_proj.weight" && type_info(type).block_length > 1)
        type = TensorType::F16;
      break;
  }
  return random_matrix(slot, synth_type(type, slot.shape[0]), spread_of(slot, config), seed, pools);
}

int64_t scaled(int64_t width, int64_t divisor) {
  return divisor == 1 ? width : (width / divisor + 31) / 32 * 32;
}

// Shared layers in proportion, as long as the layers before them hold a whole pattern.
int scaled_shared(const Config& published, int n_layers, int period) {
  int n_shared = 0;
  for (int i = 0; i < published.n_layers(); ++i) n_shared += published.owns_kv(i) ? 0 : 1;
  // The owning layers are whole periods, as in every published size, so that the last of them are one of each
  // kind.
  const int n_own = n_layers - n_shared * n_layers / published.n_layers();
  return std::max(0, n_layers - (n_own + period - 1) / period * period);
}

}  // namespace

TensorType synth_type(TensorType type, int64_t n_columns) {
  for (const TensorType candidate : {type, TensorType::Q8_0, TensorType::F16})
    if (n_columns % type_info(candidate).block_length == 0) return candidate;
  return TensorType::F32;
}

Result<Config> synth_config(const SynthShape& shape) {
  Config config = TRY(published_config(shape.like));
  const int n_layers = shape.n_layers == 0 ? config.n_layers() : shape.n_layers;
  const int64_t n_vocab = shape.n_vocab == 0 ? config.n_vocab : shape.n_vocab;
  const int64_t divisor = shape.width_divisor;
  if (n_layers < 1 || n_layers > 1024) return fail("{} layers, expected 1..1024", n_layers);
  if (n_vocab < kMinSampleTokens || n_vocab > 1 << 22)
    return fail("vocabulary of {} tokens, expected {}..{}", n_vocab, kMinSampleTokens, 1 << 22);
  if (divisor < 1 || divisor > 64) return fail("width divisor {}, expected 1..64", divisor);
  if (shape.n_experts != 0 && (config.n_experts == 0 || shape.n_experts < 1 || shape.n_experts > 4096))
    return fail("{} experts, expected 1..4096 and a size that has experts", shape.n_experts);

  std::string pattern;
  for (const LayerConfig& layer : config.layers) pattern += layer.sliding ? 'S' : 'F';
  const int period = static_cast<int>(pattern.find('F')) + 1;
  const int n_shared = scaled_shared(config, n_layers, period);
  LayerConfig full = config.layers[static_cast<size_t>(period - 1)], sliding = config.layers[0];
  const int64_t n_ff_shared = scaled(config.layers.back().n_ff, divisor);
  for (LayerConfig* layer : {&full, &sliding}) {
    layer->head_dim = scaled(layer->head_dim, divisor);
    layer->n_ff = scaled(layer->n_ff, divisor);
  }
  config.layers =
      make_layers(pattern.substr(0, static_cast<size_t>(period)), n_layers, n_shared, sliding, full);
  for (int i = n_layers - n_shared; i < n_layers; ++i)
    config.layers[static_cast<size_t>(i)].n_ff = n_ff_shared;
  config.dim = scaled(config.dim, divisor);
  config.per_layer_dim = scaled(config.per_layer_dim, divisor);
  config.n_expert_ff = scaled(config.n_expert_ff, divisor);
  if (shape.n_experts != 0) config.n_experts = shape.n_experts;
  config.n_experts_used = std::min(config.n_experts_used, config.n_experts);
  config.n_vocab = n_vocab;
  std::erase_if(config.suppressed_tokens, [&](int32_t id) { return id >= n_vocab; });
  config.name = fmt::format("synthetic {}", config.name);
  return config;
}

Result<AssistantConfig> synth_assistant_config(const SynthShape& shape, bool ordered_head) {
  const AssistantConfig published = TRY(published_assistant(shape.like));
  const Config target = TRY(synth_config(shape));
  if (std::ranges::none_of(target.layers, &LayerConfig::sliding))
    return fail("a model of {} layers, expected at least 2: an assistant reads a sliding layer and a full one",
                target.n_layers());
  const LayerConfig& layer = published.network.layers[0];
  AssistantConfig config = assistant_for(target, scaled(published.network.dim, shape.width_divisor),
                                         scaled(layer.n_ff, shape.width_divisor), layer.n_heads);
  if (!ordered_head || published.n_centroids == 0) return config;
  const int64_t n_each = published.network.n_vocab / published.n_centroids;
  if (target.n_vocab % n_each != 0)
    return fail("vocabulary of {} tokens, expected a multiple of {}", target.n_vocab, n_each);
  config.n_centroids = target.n_vocab / n_each;
  config.n_centroids_used = std::min(config.n_centroids, published.n_centroids_used);
  return config;
}

namespace {

// Random weights for the slots; `metadata` holds their keys and gets the tokenizer's.
Result<void> write_random(std::span<const TensorSlot> slots, const Config& config,
                          const SynthWeights& weights, gguf::Metadata metadata, const std::string& path,
                          const Progress& progress) {
  for (const TensorType type : {weights.matrix_type, weights.embedding_type})
    if (find_codec(type) == nullptr)
      return fail("type {}: expected one that Carat computes with", type_name(type));
  if (config.n_vocab < kMinSampleTokens)
    return fail("vocabulary of {} tokens, expected at least {}", config.n_vocab, kMinSampleTokens);
  describe(sample_vocabulary(config.n_vocab), metadata);
  metadata.set("general.quantization_version", uint32_t{2});
  const auto pools = std::make_shared<Pools>(weights.seed);
  std::vector<gguf::TensorToWrite> tensors;
  for (const TensorSlot& slot : slots) tensors.push_back(random_slot(slot, config, weights, pools));
  return gguf::write(path, metadata, tensors, progress);
}

}  // namespace

Result<void> synthesize(const Config& config, const SynthWeights& weights, const std::string& path,
                        const Progress& progress) {
  gguf::Metadata metadata;
  describe(config, metadata);
  return write_random(tensor_slots(config), config, weights, std::move(metadata), path, progress);
}

Result<void> synthesize(const AssistantConfig& config, const SynthWeights& weights, const std::string& path,
                        const AssistantDialect& dialect, const Progress& progress) {
  gguf::Metadata metadata;
  describe(config, dialect, metadata);
  return write_random(tensor_slots(config, dialect), config.network, weights, std::move(metadata), path,
                      progress);
}

}  // namespace carat
