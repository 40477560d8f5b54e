// See the header.
#include "train/token_stream.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "base/check.h"
#include "model/weights.h"
#include "quant/codec.h"
#include "train/ops_embedding.h"

namespace carat::train {
namespace {

// Columns [first, first + n) of some rows of a table: out [rows.size(), n].
Result<void> gather(const gguf::File& file, std::string_view name, std::span<const Token> rows, int64_t first,
                    int64_t n, float* out, ThreadPool& pool) {
  const Tensor* table = file.find(name);
  if (table == nullptr) return fail("{}: tensor '{}' is missing", file.path, name);
  const Codec* codec = find_codec(table->type);
  if (codec == nullptr)
    return fail("{}: tensor '{}': type {} cannot be decoded", file.path, name, type_name(table->type));
  float factor = 1;
  if (const Tensor* scale = find_scale(file, name)) decode_tensor(*scale, &factor, pool);
  const int64_t width = table->shape[0];
  const auto stride = static_cast<size_t>(row_bytes(table->type, width));
  AlignedArray<float> whole_rows(static_cast<size_t>(pool.size() * width));
  pool.parallel_for(static_cast<int64_t>(rows.size()), 16, [&](int64_t begin, int64_t end, int thread) {
    float* row = whole_rows.data() + thread * width;
    for (int64_t i = begin; i < end; ++i) {
      codec->decode(table->data + static_cast<size_t>(rows[static_cast<size_t>(i)]) * stride, width, row);
      for (int64_t c = 0; c < n; ++c) out[i * n + c] = row[first + c] * factor;
    }
  });
  return {};
}

bool is_read_later(const Config& config, int layer) {
  for (int later = layer + 1; later < config.n_layers(); ++later)
    if (config.layers[static_cast<size_t>(later)].kv_source == layer) return true;
  return false;
}

}  // namespace

StreamRows make_stream_rows(std::vector<Token> tokens, int64_t length) {
  StreamRows rows{static_cast<int64_t>(tokens.size()) / length, length, std::move(tokens), {}};
  CHECK(rows.n_tokens() == static_cast<int64_t>(rows.tokens.size()));
  std::unordered_map<Token, Token> numbers;
  for (Token& token : rows.tokens) {
    const auto [at, is_new] = numbers.try_emplace(token, static_cast<Token>(rows.vocabulary.size()));
    if (is_new) rows.vocabulary.push_back(token);
    token = at->second;
  }
  return rows;
}

Result<TokenStream> TokenStream::create(const Model& model, const StreamRows& rows, ThreadPool& pool) {
  TokenStream stream;
  stream.model_ = &model, stream.config_ = &model.config, stream.rows_ = &rows;
  const Config& config = model.config;
  const auto n_distinct = static_cast<int64_t>(rows.vocabulary.size());
  stream.embeddings_ = AlignedArray<float>(static_cast<size_t>(n_distinct * config.dim));
  TRY(gather(model.file, "token_embd.weight", rows.vocabulary, 0, config.dim, stream.embeddings_.data(),
             pool));
  const float scale = std::sqrt(static_cast<float>(config.dim));
  for (float& v : stream.embeddings_.span()) v *= scale;
  stream.hidden_ = AlignedArray<float>(static_cast<size_t>(rows.n_tokens() * config.dim));
  embed(rows.tokens, stream.embeddings_.data(), config.dim, 1.0f, stream.hidden_.data());
  if (config.per_layer_dim == 0) stream.embeddings_ = {};
  return stream;
}

int64_t TokenStream::floats_per_token(const Config& config) {
  int64_t n = config.dim;
  for (int i = 0; i < config.n_layers(); ++i)
    if (is_read_later(config, i)) n += 2 * config.layers[static_cast<size_t>(i)].kv_size();
  return n;
}

// What a layer gets of each token's own embedding is the same wherever the token stands.
Result<void> TokenStream::enter(int layer, ThreadPool& pool) {
  CHECK(layer == layer_ + 1);
  layer_ = layer;
  if (is_read_later(*config_, layer)) {
    const auto n =
        static_cast<size_t>(rows_->n_tokens() * config_->layers[static_cast<size_t>(layer)].kv_size());
    key_values_[layer] = {AlignedArray<float>(n), AlignedArray<float>(n)};
  }
  const int64_t width = config_->per_layer_dim, dim = config_->dim;
  if (width == 0) return {};
  const auto n_distinct = static_cast<int64_t>(rows_->vocabulary.size());
  const auto floats = [](int64_t n) { return AlignedArray<float>(static_cast<size_t>(n)); };
  AlignedArray<float> table = floats(n_distinct * width), projection = floats(width * dim),
                      norm = floats(width);
  std::vector<Token> projected(static_cast<size_t>(width));
  for (size_t i = 0; i < projected.size(); ++i)
    projected[i] = static_cast<Token>(layer * width) + static_cast<Token>(i);
  const Token first = 0;
  TRY(gather(model_->file, "per_layer_token_embd.weight", rows_->vocabulary, layer * width, width,
             table.data(), pool));
  TRY(gather(model_->file, "per_layer_model_proj.weight", projected, 0, dim, projection.data(), pool));
  TRY(gather(model_->file, "per_layer_proj_norm.weight", {&first, 1}, 0, width, norm.data(), pool));
  per_layer_ = floats(n_distinct * width);
  AlignedArray<float> raw = floats(n_distinct * width), inverse = floats(n_distinct);
  std::vector<Token> numbers(rows_->vocabulary.size());
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<Token>(i);
  per_layer_inputs({dim, width, 1, config_->norm_eps}, {table.data(), projection.data(), norm.data()},
                   numbers, embeddings_.data(), raw.data(), inverse.data(), per_layer_.data());
  return {};
}

void TokenStream::fill(int64_t first, int64_t n, Activations& activations) const {
  const int64_t n_tokens = n * rows_->length, at = first * rows_->length, dim = config_->dim;
  std::copy_n(hidden_.data() + at * dim, n_tokens * dim, activations.layers[0].h);
  const int64_t width = config_->per_layer_dim,
                stride = width * static_cast<int64_t>(activations.layers.size());
  for (int64_t t = 0; width > 0 && t < n_tokens; ++t)
    std::copy_n(per_layer_.data() + rows_->tokens[static_cast<size_t>(at + t)] * width, width,
                activations.per_layer + t * stride);
  if (config_->owns_kv(layer_)) return;
  const int source = config_->layers[static_cast<size_t>(layer_)].kv_source;
  const int64_t kv_size = config_->layers[static_cast<size_t>(source)].kv_size();
  const KeyValues& kept = key_values_.at(source);
  std::copy_n(kept.k.data() + at * kv_size, n_tokens * kv_size, activations.layers[1].k);
  std::copy_n(kept.v.data() + at * kv_size, n_tokens * kv_size, activations.layers[1].v);
}

void TokenStream::take(int64_t first, int64_t n, const Activations& activations) {
  const int64_t n_tokens = n * rows_->length, at = first * rows_->length, dim = config_->dim;
  std::copy_n(activations.h_out, n_tokens * dim, hidden_.data() + at * dim);
  const auto kept = key_values_.find(layer_);
  if (kept == key_values_.end()) return;
  const int64_t kv_size = config_->layers[static_cast<size_t>(layer_)].kv_size();
  std::copy_n(activations.layers[0].k, n_tokens * kv_size, kept->second.k.data() + at * kv_size);
  std::copy_n(activations.layers[0].v, n_tokens * kv_size, kept->second.v.data() + at * kv_size);
}

}  // namespace carat::train
