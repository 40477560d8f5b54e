// The assistant's network, once, for any backend (reference sheet 6.2, 6.3, 6.5). Its layers are those of the
// model without keys, values, per-layer inputs and experts, on one row.
#include "model/drafter.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "model/memory_budget.h"
#include "model/rope.h"

namespace carat {

struct Drafter::Impl {
  Impl(std::shared_ptr<const Assistant> the_assistant, std::shared_ptr<const Model> the_target,
       Backend& the_backend, const DraftOptions& the_options, std::vector<int> the_sources);

  std::span<const float> step(const KvCache& cache, Token token, std::span<const float> hidden,
                              float* logits);
  void begin(Token token, std::span<const float> hidden);
  void attention_block(size_t index, const KvCache& cache);
  void ffn(size_t index);
  void ordered_logits(float* logits);

  void multiply(const Tensor& weight, const float* in, float* out) {
    const Product product{&weight, out, weight.n_rows()};
    backend.matmul({&product, 1}, in, 1);
  }
  void rms_norm(const float* in, const Tensor& weight, float* out) {
    backend.rms_norm(in, weight.f32(), 1, config.dim, config.norm_eps, out);
  }

  std::shared_ptr<const Assistant> assistant;
  std::shared_ptr<const Model> target;
  Backend& backend;
  const DraftOptions options;
  const Config& config;  // of the assistant's own network
  const AssistantWeights& weights;
  const std::vector<int> sources;                      // per layer, of the target
  std::vector<std::vector<float>> frequencies;         // per layer
  std::vector<std::vector<float>> source_frequencies;  // per layer, of the target's layer that it reads

  std::unique_ptr<Buffer> memory;
  float *joined, *h, *x, *y, *q, *attended, *gate, *up, *next, *scores;  // a row each
  std::vector<Tensor> candidate_rows;                                    // of the ordered head
  std::vector<Product> candidate_products;
  std::vector<int32_t> centroid_order;
};

namespace {

// Floats of each row of scratch: joined, h, x, y, q, attended, gate, up, next, scores.
std::vector<int64_t> scratch_sizes(const AssistantConfig& config) {
  int64_t q = 0, ff = 0;
  for (const LayerConfig& layer : config.network.layers) {
    q = std::max(q, layer.q_size());
    ff = std::max(ff, layer.n_ff);
  }
  const int64_t dim = config.network.dim;
  std::vector<int64_t> sizes = {2 * config.backbone_dim, dim, dim, dim, q, q, ff, ff, config.backbone_dim,
                                config.n_centroids};
  for (int64_t& size : sizes) size = (size + 15) / 16 * 16;  // whole cache lines
  return sizes;
}

}  // namespace

Drafter::Impl::Impl(std::shared_ptr<const Assistant> the_assistant, std::shared_ptr<const Model> the_target,
                    Backend& the_backend, const DraftOptions& the_options, std::vector<int> the_sources)
    : assistant(std::move(the_assistant)),
      target(std::move(the_target)),
      backend(the_backend),
      options(the_options),
      config(assistant->config.network),
      weights(assistant->weights),
      sources(std::move(the_sources)) {
  for (const LayerConfig& layer : config.layers)
    frequencies.push_back(inverse_frequencies(layer, weights.network.rope_divisors));
  for (const int source : sources)
    source_frequencies.push_back(inverse_frequencies(target->config.layers[static_cast<size_t>(source)],
                                                     target->weights.rope_divisors));
  const std::vector<int64_t> sizes = scratch_sizes(assistant->config);
  const int64_t n_floats = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
  memory = backend.allocate(static_cast<size_t>(n_floats) * sizeof(float));
  float* at = static_cast<float*>(memory->data());
  size_t i = 0;
  for (float** row : {&joined, &h, &x, &y, &q, &attended, &gate, &up, &next, &scores}) {
    *row = at;
    at += sizes[i++];
  }
}

std::span<const float> Drafter::Impl::step(const KvCache& cache, Token token, std::span<const float> hidden,
                                           float* logits) {
  CHECK(cache.n_used() >= 1 && cache.fits(target->config));
  begin(token, hidden);
  for (size_t i = 0; i < config.layers.size(); ++i) {
    attention_block(i, cache);
    ffn(i);
  }
  rms_norm(h, weights.network.output_norm, x);
  if (options.head == DraftHead::full)
    multiply(weights.network.output, x, logits);
  else
    ordered_logits(logits);
  multiply(weights.post_projection, x, next);
  return {next, static_cast<size_t>(assistant->config.backbone_dim)};
}

// h = Wpre [E_target[token] sqrt(backbone_dim); hidden]
void Drafter::Impl::begin(Token token, std::span<const float> hidden) {
  const int64_t width = assistant->config.backbone_dim, first = 0;
  CHECK(token >= 0 && token < config.n_vocab && static_cast<int64_t>(hidden.size()) == width);
  backend.embed(target->weights.token_embedding, {&token, 1}, std::sqrt(static_cast<float>(width)), joined);
  backend.copy_rows(hidden.data(), {&first, 1}, width, joined + width);
  multiply(weights.pre_projection, joined, h);
}

// h += RMS(Wo attention(q)), over what the target has cached. A query at p + 1 sees the keys within its
// window that are there, which are the same as those of a window one shorter at p.
void Drafter::Impl::attention_block(size_t index, const KvCache& cache) {
  const LayerConfig& layer = config.layers[index];
  const LayerWeights& w = weights.network.layers[index];
  const bool after = options.position == DraftPosition::next;
  const int64_t last = cache.n_used() - 1, window = layer.sliding && after ? layer.window - 1 : layer.window;
  const int32_t position = static_cast<int32_t>(after ? last + 1 : last);
  const Rope rope{frequencies[index]};
  const Segment segment{0, 1, last, cache.view(sources[index])};
  rms_norm(h, w.attn_norm, x);
  multiply(w.q, x, q);
  backend.norm_rope(q, 1, layer.n_heads, layer.head_dim, w.q_norm.f32(), config.norm_eps, &rope, &position);
  // Where the target's cache has no keys, they follow from its values by the norm and the angles of its layer.
  const Rope source_rope{source_frequencies[index]};
  const KeyRule key_rule{target->weights.layers[static_cast<size_t>(sources[index])].k_norm.f32(), &source_rope};
  backend.attention({&segment, 1}, {layer.n_heads, layer.n_kv_heads, layer.head_dim, window, &key_rule}, q,
                    attended);
  multiply(w.o, attended, y);
  backend.add_rms_norm(y, w.post_attention_norm.f32(), 1, config.dim, config.norm_eps, h);
}

// h = (h + RMS(down(gelu(gate x) * up x))) * scale, x = RMS(h)
void Drafter::Impl::ffn(size_t index) {
  const LayerConfig& layer = config.layers[index];
  const LayerWeights& w = weights.network.layers[index];
  rms_norm(h, w.ffn_norm, x);
  const Product products[] = {{&w.gate, gate, layer.n_ff}, {&w.up, up, layer.n_ff}};
  backend.matmul(products, x, 1);
  backend.geglu(gate, up, layer.n_ff, 1, layer.n_ff, gate);
  multiply(w.down, gate, y);
  backend.add_rms_norm(y, w.post_ffw_norm.f32(), 1, config.dim, config.norm_eps, h);
  if (w.output_scale) backend.add_scale(h, nullptr, config.dim, w.output_scale.f32()[0]);
}

// Scores the centroids, then the tokens of the best ones (ties: the lower centroid), each as a product of one
// row.
void Drafter::Impl::ordered_logits(float* logits) {
  const AssistantConfig& all = assistant->config;
  const Tensor& head = weights.network.output;
  multiply(weights.centroids, x, scores);
  centroid_order.resize(static_cast<size_t>(all.n_centroids));
  std::iota(centroid_order.begin(), centroid_order.end(), 0);
  std::partial_sort(
      centroid_order.begin(), centroid_order.begin() + all.n_centroids_used, centroid_order.end(),
      [&](int32_t a, int32_t b) { return scores[a] != scores[b] ? scores[a] > scores[b] : a < b; });
  std::fill_n(logits, config.n_vocab, -std::numeric_limits<float>::infinity());
  const int64_t n_each = config.n_vocab / all.n_centroids;
  candidate_rows.clear();
  candidate_products.clear();
  candidate_rows.reserve(static_cast<size_t>(all.n_centroids_used * n_each));  // products point into it
  for (int64_t i = 0; i < all.n_centroids_used; ++i)
    for (int64_t j = 0; j < n_each; ++j) {
      const int64_t place = centroid_order[static_cast<size_t>(i)] * n_each + j;
      const int32_t token = assistant->ordering[static_cast<size_t>(place)];
      candidate_rows.push_back({head.name, head.type, {config.dim, 1, 1, 1}, head.row(token), head.scale});
      candidate_products.push_back({&candidate_rows.back(), logits + token, 1});
    }
  backend.matmul(candidate_products, x, 1);
}

Result<Drafter> Drafter::create(std::shared_ptr<const Assistant> assistant,
                                std::shared_ptr<const Model> target, Backend& backend,
                                const DraftOptions& options) {
  std::vector<int> sources = TRY(draft_sources(*assistant, *target));
  if (options.head == DraftHead::ordered && assistant->config.n_centroids == 0)
    return fail("{}: no centroids, expected them for the ordered head", assistant->file.path);
  const std::vector<int64_t> sizes = scratch_sizes(assistant->config);
  const int64_t n_floats = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
  TRY(check_memory(saturating_multiply(n_floats, sizeof(float)), "scratch of an assistant"));
  return Drafter(
      std::make_unique<Impl>(std::move(assistant), std::move(target), backend, options, std::move(sources)));
}

Drafter::Drafter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Drafter::Drafter(Drafter&&) noexcept = default;
Drafter& Drafter::operator=(Drafter&&) noexcept = default;
Drafter::~Drafter() = default;

const Assistant& Drafter::assistant() const { return *impl_->assistant; }
std::span<const float> Drafter::step(const KvCache& cache, int32_t token, std::span<const float> hidden,
                                     float* logits) {
  return impl_->step(cache, token, hidden, logits);
}

}  // namespace carat
