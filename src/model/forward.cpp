// The Gemma 4 network, once, for any backend: embedding, then per layer attention, FFN (dense, or dense and
// experts), per-layer injection and scalar, then the head. Reference sheet section 2 is the specification.
#include "model/forward.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "model/memory_budget.h"
#include "model/rope.h"

namespace carat {
namespace {

// Scratch of rows of floats in the backend's memory.
class Rows2d {
 public:
  Rows2d() = default;
  Rows2d(Backend& backend, int64_t n_rows, int64_t dim)
      : buffer_(dim == 0 ? nullptr : backend.allocate(static_cast<size_t>(n_rows * dim) * sizeof(float))) {}
  float* data() { return buffer_ ? static_cast<float*>(buffer_->data()) : nullptr; }

 private:
  std::unique_ptr<Buffer> buffer_;
};

float root(int64_t n) { return std::sqrt(static_cast<float>(n)); }

// The widest of each kind over a model's layers, in values.
struct Widths {
  int64_t head = 0, q = 0, kv = 0, ff = 0;
};

Widths widest(const Config& config) {
  Widths w;
  for (const LayerConfig& layer : config.layers) {
    w.head = std::max(w.head, layer.head_dim);
    w.q = std::max(w.q, layer.q_size());
    w.kv = std::max(w.kv, layer.kv_size());
    w.ff = std::max(w.ff, layer.n_ff);
  }
  return w;
}

// The backend's own memory for one row, about: its input rounded to 8 bits with scales, angles, and the rows of its
// experts. Nothing here can overflow: the config's numbers are bounded where they are read.
int64_t backend_bytes_per_row(const Config& config, const Widths& w) {
  const auto rounded = [](int64_t n) { return 2 * n + 1024; };
  const int64_t angles = 16 * w.head;
  const int64_t slot = 4 * (2 * config.dim + 3 * config.n_expert_ff) + rounded(std::max(config.dim, config.n_expert_ff));
  return rounded(std::max({config.dim, w.q, w.ff})) + angles + config.n_experts_used * slot;
}

// The matrices that products read.
std::vector<Tensor*> repackable(Weights& weights, bool head) {
  std::vector<Tensor*> all;
  if (head) all.push_back(&weights.output);
  if (weights.per_layer_model_proj) all.push_back(&weights.per_layer_model_proj);
  for (LayerWeights& w : weights.layers)
    for (Tensor* weight : {&w.q, &w.k, &w.v, &w.o, &w.gate, &w.up, &w.down, &w.per_layer_gate, &w.per_layer_proj,
                           &w.router, &w.expert_gate_up, &w.expert_gate, &w.expert_up, &w.expert_down})
      if (*weight) all.push_back(weight);
  return all;
}

}  // namespace

// The rows under way. Some leave at the prefill cut.
struct Passage::State {
  int64_t n_rows = 0;
  std::vector<Token> tokens;
  std::vector<int32_t> positions;
  std::vector<Segment> segments;     // views are filled in per layer
  std::vector<int64_t> n_wanted;     // per segment: its last rows
  std::vector<size_t> part;          // per segment: which of the caller's parts it is
  std::vector<int64_t> wanted_rows;  // what the caller wants, as indices of the current rows
  Rows2d h;                          // residual stream [n_rows, dim]
  Rows2d inputs;                     // per-layer inputs [n_rows, n_layers * per_layer_dim]
};

struct Forward::Impl {
  // Where a screen leaves too many rows, it is left alone for so many calls, then twice as many, …
  static constexpr int64_t kFirstPause = 8, kLongestPause = 256;

  Impl(std::shared_ptr<const Model> the_model, Backend& the_backend, const ForwardOptions& the_options);

  Result<void> repack(const Progress& progress);
  std::span<const float> run(std::span<const Chunk> chunks, Rows wanted);
  void logits(std::span<const float> hidden, int64_t n_rows, float* out);
  std::span<const ScoredRow> best(std::span<const float> hidden, int64_t n_best, std::span<const Token> never);

  Passage enter(std::span<const TokenRun> parts);
  void run_layer(Passage::State& state, int index, std::span<const KvView> cells);
  std::span<const float> leave(Passage::State& state);

  void lay_out(std::span<const TokenRun> parts);
  void embed();
  void per_layer_inputs();
  void attention_block(int index, bool cut);
  void keys_and_values(const LayerConfig& layer, const LayerWeights& w, const Rope* rope);
  void keep_wanted_rows();
  void ffn(int index);
  void dense_ffn(const LayerConfig& layer, const LayerWeights& w);
  void experts_ffn(int index, const LayerWeights& w);
  void per_layer_injection(int index, const LayerWeights& w);
  void close_layer(const Tensor& norm, const Tensor& scale);

  void rms_norm(const float* in, const Tensor& weight, float* out) {
    backend.rms_norm(in, weight.f32(), rows->n_rows, config.dim, config.norm_eps, out);
  }

  std::shared_ptr<const Model> model;
  Backend& backend;
  const ForwardOptions options;
  const Config& config;
  Weights weights;  // the model's; what is repacked is this one's
  std::vector<std::unique_ptr<Buffer>> repacked;
  std::vector<std::vector<float>> frequencies;  // per layer
  std::vector<Rows2d> router_gains;             // per layer with experts: [dim]

  Passage::State own;            // run()'s rows, for max_rows of them
  Passage::State* rows = &own;   // those of the call under way
  std::vector<TokenRun> parts;       // of run()'s chunks
  std::vector<KvView> views;     // likewise, of one layer
  std::vector<int64_t> identity; // 0, 1, …, max_rows - 1

  Rows2d x, y;                     // a block's input and output: [max_rows, dim]
  Rows2d q, attended;              // [max_rows, q_size]
  Rows2d k, v;                     // [max_rows, kv_size]
  Rows2d gate, up;                 // [max_rows, n_ff]
  Rows2d spare_inputs;             // per-layer inputs [max_rows, n_layers * per_layer_dim]
  Rows2d injected;                 // [max_rows, per_layer_dim]
  Rows2d scores, gates, mixed;     // [max_rows, n_experts], [max_rows, n_experts_used], [max_rows, dim]
  std::unique_ptr<Buffer> chosen;  // int32 [max_rows, n_experts_used]

  std::unique_ptr<RowScreen> screen;  // of the head
  ScreenUse screen_use;
  int64_t n_unscreened = 0, next_pause = kFirstPause;  // calls to come without the screen, and the next such run
  std::vector<Token> excluded;
  std::vector<ScoredRow> best_tokens;
};

Forward::Impl::Impl(std::shared_ptr<const Model> the_model, Backend& the_backend,
                    const ForwardOptions& the_options)
    : model(std::move(the_model)),
      backend(the_backend),
      options(the_options),
      config(model->config),
      weights(model->weights) {
  const Widths w = widest(config);
  for (const LayerConfig& layer : config.layers)
    frequencies.push_back(inverse_frequencies(layer, weights.rope_divisors));
  const auto rows_of = [&](int64_t dim) { return Rows2d(backend, options.max_rows, dim); };
  own.h = rows_of(config.dim), x = rows_of(config.dim), y = rows_of(config.dim);
  q = rows_of(w.q), attended = rows_of(w.q);
  k = rows_of(w.kv), v = rows_of(w.kv);
  gate = rows_of(w.ff), up = rows_of(w.ff);
  own.inputs = rows_of(config.per_layer_dim * config.n_layers());
  for (int64_t i = 0; i < options.max_rows; ++i) identity.push_back(i);
  spare_inputs = rows_of(config.per_layer_dim * config.n_layers());
  injected = rows_of(config.per_layer_dim);
  if (options.screen_head) screen = backend.make_screen(weights.output);
  if (config.n_experts == 0) return;
  scores = rows_of(config.n_experts), gates = rows_of(config.n_experts_used), mixed = rows_of(config.dim);
  chosen = backend.allocate(static_cast<size_t>(options.max_rows * config.n_experts_used) * sizeof(int32_t));
  for (const LayerWeights& layer : weights.layers) {
    // The router's constant factor dim^-1/2 goes into its gains once.
    router_gains.emplace_back(backend, 1, config.dim);
    for (int64_t i = 0; i < config.dim; ++i)
      router_gains.back().data()[i] = layer.router_scale.f32()[i] / root(config.dim);
  }
}

Result<void> Forward::Impl::repack(const Progress& progress) {
  CHECK(repacked.empty());
  const std::vector<Tensor*> matrices = repackable(weights, screen == nullptr);
  uint64_t n_bytes = 0, done = 0;
  for (const Tensor* weight : matrices) n_bytes += backend.repacked_bytes(*weight);
  TRY(check_memory(static_cast<int64_t>(n_bytes), "repacked weights"));
  for (Tensor* weight : matrices) {
    if (interrupted()) return fail("interrupted");
    auto packed = backend.repack(*weight);
    if (packed == nullptr) continue;
    repacked.push_back(std::move(packed));
    weight->packed = static_cast<const std::byte*>(repacked.back()->data());
    done += repacked.back()->size();
    if (progress) progress(done, n_bytes, "repacking");
  }
  return {};
}

std::span<const float> Forward::Impl::run(std::span<const Chunk> chunks, Rows wanted) {
  parts.clear();
  for (const Chunk& chunk : chunks) {
    const int64_t n = static_cast<int64_t>(chunk.tokens.size()), position = chunk.cache->n_used();
    CHECK(n >= 1 && n <= chunk.cache->max_batch() && position + n <= chunk.cache->n_positions());
    CHECK(chunk.cache->fits(config));
    CHECK(std::none_of(chunks.data(), &chunk, [&](const Chunk& other) { return other.cache == chunk.cache; }));
    parts.push_back({chunk.tokens, position, wanted == Rows::all ? n : wanted == Rows::last ? 1 : 0});
  }
  rows = &own;
  lay_out(parts);
  embed();
  if (config.per_layer_dim > 0) per_layer_inputs();
  for (int i = 0; i < config.n_layers() && own.n_rows > 0; ++i) {
    views.clear();
    for (const Chunk& chunk : chunks) views.push_back(chunk.cache->view(i));
    run_layer(own, i, views);
  }
  for (const Chunk& chunk : chunks) chunk.cache->advance(static_cast<int64_t>(chunk.tokens.size()));
  return leave(own);
}

Passage Forward::Impl::enter(std::span<const TokenRun> the_parts) {
  int64_t n = 0;
  for (const TokenRun& part : the_parts) n += static_cast<int64_t>(part.tokens.size());
  CHECK(n >= 1 && n <= options.max_rows);
  auto state = std::make_unique<Passage::State>();
  state->h = Rows2d(backend, n, config.dim);
  state->inputs = Rows2d(backend, n, config.per_layer_dim * config.n_layers());
  rows = state.get();
  lay_out(the_parts);
  embed();
  if (config.per_layer_dim > 0) per_layer_inputs();
  return Passage(std::move(state));
}

void Forward::Impl::run_layer(Passage::State& state, int index, std::span<const KvView> cells) {
  rows = &state;
  if (state.n_rows == 0) return;
  for (size_t i = 0; i < state.segments.size(); ++i) state.segments[i].kv = cells[state.part[i]];
  const bool cut = options.prefill_cut && index == config.last_kv_layer() &&
                   static_cast<int64_t>(state.wanted_rows.size()) < state.n_rows;
  attention_block(index, cut);
  if (state.n_rows == 0) return;
  ffn(index);
  if (config.per_layer_dim > 0) per_layer_injection(index, weights.layers[static_cast<size_t>(index)]);
}

std::span<const float> Forward::Impl::leave(Passage::State& state) {
  rows = &state;
  if (state.wanted_rows.empty()) return {};
  if (static_cast<int64_t>(state.wanted_rows.size()) < state.n_rows) keep_wanted_rows();
  rms_norm(state.h.data(), weights.output_norm, x.data());
  return {x.data(), static_cast<size_t>(state.n_rows * config.dim)};
}

// One segment per part.
void Forward::Impl::lay_out(std::span<const TokenRun> the_parts) {
  Passage::State& to = *rows;
  to.n_rows = 0;
  to.tokens.clear(), to.positions.clear(), to.segments.clear(), to.n_wanted.clear(), to.part.clear();
  to.wanted_rows.clear();
  for (const TokenRun& part : the_parts) {
    const int64_t n = static_cast<int64_t>(part.tokens.size());
    CHECK(n >= 1 && part.position >= 0 && part.n_wanted >= 0 && part.n_wanted <= n);
    for (const Token token : part.tokens) CHECK(token >= 0 && token < config.n_vocab);
    to.part.push_back(to.segments.size());
    to.segments.push_back({to.n_rows, n, part.position, {}});
    to.n_wanted.push_back(part.n_wanted);
    to.tokens.insert(to.tokens.end(), part.tokens.begin(), part.tokens.end());
    for (int64_t i = 0; i < n; ++i) {
      to.positions.push_back(static_cast<int32_t>(part.position + i));
      if (i >= n - part.n_wanted) to.wanted_rows.push_back(to.n_rows + i);
    }
    to.n_rows += n;
  }
  CHECK(to.n_rows >= 1 && to.n_rows <= options.max_rows);
}

// h = E[token] sqrt(dim)
void Forward::Impl::embed() { backend.embed(weights.token_embedding, rows->tokens, root(config.dim), rows->h.data()); }

// inputs[l] = (PLE[token][l] sqrt(d) + RMS((W h) / sqrt(dim))[l]) / sqrt(2). Dividing by sqrt(dim) before a
// norm is the same as multiplying the norm's epsilon by dim.
void Forward::Impl::per_layer_inputs() {
  const int64_t n_all = config.per_layer_dim * config.n_layers();
  backend.embed(weights.per_layer_embedding, rows->tokens, root(config.per_layer_dim), spare_inputs.data());
  const Product product{&weights.per_layer_model_proj, rows->inputs.data(), n_all};
  backend.matmul({&product, 1}, rows->h.data(), rows->n_rows);
  backend.rms_norm(rows->inputs.data(), weights.per_layer_proj_norm.f32(), rows->n_rows * config.n_layers(),
                   config.per_layer_dim, config.norm_eps * static_cast<float>(config.dim), rows->inputs.data());
  backend.add_scale(rows->inputs.data(), spare_inputs.data(), rows->n_rows * n_all, std::sqrt(0.5f));
}

// h += RMS(Wo attention(q, k, v)). With `cut`, rows that nobody wants write their keys and values here and
// leave.
void Forward::Impl::attention_block(int index, bool cut) {
  const LayerConfig& layer = config.layers[static_cast<size_t>(index)];
  const LayerWeights& w = weights.layers[static_cast<size_t>(index)];
  const Rope rope{frequencies[static_cast<size_t>(index)]};
  const Product query{&w.q, q.data(), layer.q_size()};
  rms_norm(rows->h.data(), w.attn_norm, x.data());
  Product products[3];
  size_t n_products = 0;
  if (!cut) products[n_products++] = query;
  if (w.k) products[n_products++] = {&w.k, k.data(), layer.kv_size()};
  if (w.v) products[n_products++] = {&w.v, v.data(), layer.kv_size()};
  backend.matmul({products, n_products}, x.data(), rows->n_rows);
  if (w.k) {
    const bool keys = std::ranges::any_of(rows->segments, [](const Segment& s) { return s.kv.k != nullptr; });
    keys_and_values(layer, w, keys ? &rope : nullptr);
    backend.store_kv(rows->segments, k.data(), v.data(), layer.kv_size());
  }
  if (cut) {
    keep_wanted_rows();
    if (rows->n_rows == 0) return;
    rms_norm(rows->h.data(), w.attn_norm, x.data());
    backend.matmul({&query, 1}, x.data(), rows->n_rows);
  }
  backend.norm_rope(q.data(), rows->n_rows, layer.n_heads, layer.head_dim, w.q_norm.f32(), config.norm_eps, &rope,
                    rows->positions.data());
  // Where the cache has no keys, they follow from the values by the norm of the layer that wrote them.
  const KeyRule key_rule{weights.layers[static_cast<size_t>(layer.kv_source)].k_norm.f32(), &rope};
  backend.attention(rows->segments,
                    {layer.n_heads, layer.n_kv_heads, layer.head_dim, layer.window, &key_rule}, q.data(),
                    attended.data());
  const Product output{&w.o, y.data(), config.dim};
  backend.matmul({&output, 1}, attended.data(), rows->n_rows);
  backend.add_rms_norm(y.data(), w.post_attention_norm.f32(), rows->n_rows, config.dim, config.norm_eps, rows->h.data());
}

// k = RoPE(RMS(k)), v = RMS0(v) per head, where v is the raw k if the layer has no V weight. Without a rope only the
// values: no cache wants keys.
void Forward::Impl::keys_and_values(const LayerConfig& layer, const LayerWeights& w, const Rope* rope) {
  const float* raw_v = w.v ? v.data() : k.data();
  backend.rms_norm(raw_v, nullptr, rows->n_rows * layer.n_kv_heads, layer.head_dim, config.norm_eps, v.data());
  if (rope != nullptr)
    backend.norm_rope(k.data(), rows->n_rows, layer.n_kv_heads, layer.head_dim, w.k_norm.f32(), config.norm_eps,
                      rope, rows->positions.data());
}

// Drops all rows but the wanted ones, the last of each segment; segments that have none go.
void Forward::Impl::keep_wanted_rows() {
  Passage::State& s = *rows;
  const int64_t n_all = config.per_layer_dim * config.n_layers();
  const auto first = std::span(identity).first(s.wanted_rows.size());
  backend.copy_rows(s.h.data(), s.wanted_rows, config.dim, y.data());
  backend.copy_rows(y.data(), first, config.dim, s.h.data());
  if (n_all > 0) {
    backend.copy_rows(s.inputs.data(), s.wanted_rows, n_all, spare_inputs.data());
    backend.copy_rows(spare_inputs.data(), first, n_all, s.inputs.data());
  }
  s.n_rows = 0;
  size_t n_kept = 0;
  for (size_t i = 0; i < s.segments.size(); ++i) {
    const Segment from = s.segments[i];
    const int64_t n = s.n_wanted[i], n_gone = from.n_rows - n;
    if (n == 0) continue;
    for (int64_t r = 0; r < n; ++r)
      s.positions[static_cast<size_t>(s.n_rows + r)] = s.positions[static_cast<size_t>(from.first_row + n_gone + r)];
    s.segments[n_kept] = {s.n_rows, n, from.position + n_gone, from.kv};
    s.n_wanted[n_kept] = n, s.part[n_kept] = s.part[i];
    ++n_kept, s.n_rows += n;
  }
  s.segments.resize(n_kept), s.n_wanted.resize(n_kept), s.part.resize(n_kept);
  s.wanted_rows.assign(first.begin(), first.end());
}

void Forward::Impl::ffn(int index) {
  const LayerWeights& w = weights.layers[static_cast<size_t>(index)];
  dense_ffn(config.layers[static_cast<size_t>(index)], w);
  if (config.n_experts > 0) experts_ffn(index, w);
  // Where per-layer inputs follow, they close the layer.
  close_layer(w.post_ffw_norm, config.per_layer_dim > 0 ? Tensor() : w.output_scale);
}

// y = down(gelu(gate x) * up x), x = RMS(h)
void Forward::Impl::dense_ffn(const LayerConfig& layer, const LayerWeights& w) {
  rms_norm(rows->h.data(), w.ffn_norm, x.data());
  const Product products[] = {{&w.gate, gate.data(), layer.n_ff}, {&w.up, up.data(), layer.n_ff}};
  backend.matmul(products, x.data(), rows->n_rows);
  backend.geglu(gate.data(), up.data(), layer.n_ff, rows->n_rows, layer.n_ff, gate.data());
  const Product down{&w.down, y.data(), config.dim};
  backend.matmul({&down, 1}, gate.data(), rows->n_rows);
}

// y = RMS(y) + RMS(sum of the chosen experts on RMS(h)). The router sees the residual itself, normed without
// weight.
void Forward::Impl::experts_ffn(int index, const LayerWeights& w) {
  int32_t* experts = static_cast<int32_t*>(chosen->data());
  backend.rms_norm(rows->h.data(), router_gains[static_cast<size_t>(index)].data(), rows->n_rows, config.dim,
                   config.norm_eps, x.data());
  const Product route{&w.router, scores.data(), config.n_experts};
  backend.matmul({&route, 1}, x.data(), rows->n_rows);
  backend.route(scores.data(), rows->n_rows, config.n_experts, config.n_experts_used, experts, gates.data());

  rms_norm(rows->h.data(), w.pre_ffw_norm_2, x.data());
  const ExpertWeights matrices{w.expert_gate_up,          w.expert_gate,     w.expert_up, w.expert_down,
                               w.expert_down_scale.f32(), config.n_expert_ff};
  backend.experts(matrices, x.data(), rows->n_rows, config.n_experts_used, experts, gates.data(), mixed.data());
  rms_norm(y.data(), w.post_ffw_norm_1, y.data());
  backend.add_rms_norm(mixed.data(), w.post_ffw_norm_2.f32(), rows->n_rows, config.dim, config.norm_eps, y.data());
}

// h += RMS(proj(gelu(inp_gate h) * inputs[l])), and the layer's scalar
void Forward::Impl::per_layer_injection(int index, const LayerWeights& w) {
  const int64_t dim = config.per_layer_dim;
  const Product narrow{&w.per_layer_gate, injected.data(), dim};
  backend.matmul({&narrow, 1}, rows->h.data(), rows->n_rows);
  backend.geglu(injected.data(), rows->inputs.data() + index * dim, dim * config.n_layers(), rows->n_rows, dim,
                injected.data());
  const Product widen{&w.per_layer_proj, y.data(), config.dim};
  backend.matmul({&widen, 1}, injected.data(), rows->n_rows);
  close_layer(w.per_layer_post_norm, w.output_scale);
}

// h = (h + RMS(y; norm)) * scale
void Forward::Impl::close_layer(const Tensor& norm, const Tensor& scale) {
  if (!scale) {
    backend.add_rms_norm(y.data(), norm.f32(), rows->n_rows, config.dim, config.norm_eps, rows->h.data());
    return;
  }
  rms_norm(y.data(), norm, y.data());
  backend.add_scale(rows->h.data(), y.data(), rows->n_rows * config.dim, scale.f32()[0]);
}

void Forward::Impl::logits(std::span<const float> hidden, int64_t n, float* out) {
  CHECK(static_cast<int64_t>(hidden.size()) == n * config.dim);
  const Product head{&weights.output, out, config.n_vocab};
  backend.matmul({&head, 1}, hidden.data(), n);
  backend.soft_cap(out, n * config.n_vocab, config.logit_soft_cap);
  for (int64_t r = 0; r < n; ++r)
    for (const Token token : config.suppressed_tokens)
      out[r * config.n_vocab + token] = -std::numeric_limits<float>::infinity();
}

std::span<const ScoredRow> Forward::Impl::best(std::span<const float> hidden, int64_t n_best,
                                               std::span<const Token> never) {
  CHECK(static_cast<int64_t>(hidden.size()) == config.dim && n_best >= 1);
  excluded.assign(config.suppressed_tokens.begin(), config.suppressed_tokens.end());
  excluded.insert(excluded.end(), never.begin(), never.end());
  const bool screened = screen != nullptr && n_unscreened == 0;
  if (n_unscreened > 0) --n_unscreened;
  const BestRows request{&weights.output, screened ? screen.get() : nullptr, config.logit_soft_cap, excluded, n_best};
  const int64_t n_read = backend.best_rows(request, hidden.data(), best_tokens);
  if (!screened) return best_tokens;
  ++screen_use.n_calls;
  if (n_read < config.n_vocab) {
    screen_use.n_rows_read += n_read;
    next_pause = kFirstPause;
  } else {
    ++screen_use.n_full;
    n_unscreened = next_pause;
    next_pause = std::min(2 * next_pause, kLongestPause);
  }
  return best_tokens;
}

int64_t Forward::bytes_needed(const Config& config, int64_t max_rows) {
  const Widths w = widest(config);
  const int64_t n_inputs = config.per_layer_dim * config.n_layers();
  int64_t floats = 3 * config.dim + 2 * (w.q + w.kv + w.ff + n_inputs) + config.per_layer_dim;
  if (config.n_experts > 0) floats += config.n_experts + 2 * config.n_experts_used + config.dim;
  const int64_t per_row = 4 * floats + backend_bytes_per_row(config, w);
  const int64_t gains = config.n_experts > 0 ? 4 * config.dim * config.n_layers() : 0;
  return saturating_add(saturating_multiply(per_row, max_rows), gains);
}

Result<Forward> Forward::create(std::shared_ptr<const Model> model, Backend& backend,
                                const ForwardOptions& options) {
  if (options.max_rows < 1) return fail("calls of {} rows, expected at least 1", options.max_rows);
  TRY(check_memory(bytes_needed(model->config, options.max_rows),
                   fmt::format("scratch for {} rows", options.max_rows)));
  if (options.screen_head)
    TRY(check_memory(static_cast<int64_t>(backend.screen_bytes(model->weights.output)), "the screen of the head"));
  return Forward(std::make_unique<Impl>(std::move(model), backend, options));
}

Forward::Forward(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Forward::Forward(Forward&&) noexcept = default;
Forward& Forward::operator=(Forward&&) noexcept = default;
Forward::~Forward() = default;

const Model& Forward::model() const { return *impl_->model; }
Backend& Forward::backend() const { return impl_->backend; }
const ForwardOptions& Forward::options() const { return impl_->options; }
std::span<const float> Forward::run(std::span<const Chunk> chunks, Rows rows) {
  return impl_->run(chunks, rows);
}
Passage Forward::enter(std::span<const TokenRun> parts) { return impl_->enter(parts); }
void Forward::run_layer(Passage& rows, int layer, std::span<const KvView> cells) {
  impl_->run_layer(rows.state(), layer, cells);
}
std::span<const float> Forward::leave(Passage& rows) { return impl_->leave(rows.state()); }
void Forward::logits(std::span<const float> hidden, int64_t n_rows, float* out) {
  impl_->logits(hidden, n_rows, out);
}
std::span<const ScoredRow> Forward::best(std::span<const float> hidden, int64_t n_best, std::span<const Token> never) {
  return impl_->best(hidden, n_best, never);
}
Result<void> Forward::repack(const Progress& progress) { return impl_->repack(progress); }
size_t Forward::repacked_bytes() const {
  size_t n = 0;
  for (const auto& buffer : impl_->repacked) n += buffer->size();
  return n;
}
size_t Forward::screen_bytes() const { return impl_->screen == nullptr ? 0 : impl_->screen->n_bytes(); }
const Forward::ScreenUse& Forward::screen_use() const { return impl_->screen_use; }

Passage::Passage(std::unique_ptr<State> state) : state_(std::move(state)) {}
Passage::Passage(Passage&&) noexcept = default;
Passage& Passage::operator=(Passage&&) noexcept = default;
Passage::~Passage() = default;
int64_t Passage::n_rows() const { return state_->n_rows; }

std::span<const float> prefill(Forward& forward, KvCache& cache, std::span<const Token> tokens) {
  CHECK(!tokens.empty() && static_cast<int64_t>(tokens.size()) <= cache.n_positions() - cache.n_used());
  const size_t piece = static_cast<size_t>(std::min(forward.options().max_rows, cache.max_batch()));
  while (tokens.size() > piece) {
    const Chunk chunk{&cache, tokens.first(piece)};
    forward.run({&chunk, 1}, Rows::none);
    tokens = tokens.subspan(piece);
  }
  const Chunk chunk{&cache, tokens};
  return forward.run({&chunk, 1}, Rows::last);
}

double log_softmax(std::span<float> logits) {
  CHECK(!logits.empty());
  const double peak = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - peak);
  const double log_sum = peak + std::log(sum);
  for (float& logit : logits) logit = static_cast<float>(logit - log_sum);
  return log_sum;
}

}  // namespace carat
