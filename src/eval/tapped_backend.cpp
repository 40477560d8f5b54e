// Hands every operation on; matmul() and experts() show their inputs first.
#include "eval/tapped_backend.h"

#include <utility>
#include <vector>

namespace carat {
namespace {

class TappedBackend : public Backend {
 public:
  TappedBackend(Backend& inner, InputObserver observer) : inner_(inner), observer_(std::move(observer)) {}

  void matmul(std::span<const Product> products, const float* x, int64_t n_tokens) override {
    weights_.clear();
    for (const Product& product : products) weights_.push_back(product.weight);
    observer_({weights_, 0, x, n_tokens});
    inner_.matmul(products, x, n_tokens);
  }

  void experts(const ExpertWeights& weights, const float* x, int64_t n_rows, int64_t n_used,
               const int32_t* experts, const float* gates, float* out) override {
    const int64_t n_experts = weights.down.shape[2];
    for (int64_t e = 0; e < n_experts; ++e)
      show_expert(weights, e, x, {experts, static_cast<size_t>(n_rows * n_used)}, n_used);
    inner_.experts(weights, x, n_rows, n_used, experts, gates, out);
  }

  std::string_view name() const override { return inner_.name(); }
  Precision precision() const override { return inner_.precision(); }
  std::unique_ptr<Buffer> allocate(size_t bytes) override { return inner_.allocate(bytes); }
  void copy_rows(const float* from, std::span<const int64_t> rows, int64_t dim, float* out) override {
    inner_.copy_rows(from, rows, dim, out);
  }
  void embed(const Tensor& table, std::span<const int32_t> tokens, float scale, float* out) override {
    inner_.embed(table, tokens, scale, out);
  }
  void rms_norm(const float* x, const float* weight, int64_t n_rows, int64_t dim, float eps,
                float* out) override {
    inner_.rms_norm(x, weight, n_rows, dim, eps, out);
  }
  void add_rms_norm(const float* x, const float* weight, int64_t n_rows, int64_t dim, float eps,
                    float* h) override {
    inner_.add_rms_norm(x, weight, n_rows, dim, eps, h);
  }
  void add_scale(float* x, const float* y, int64_t n, float scale) override {
    inner_.add_scale(x, y, n, scale);
  }
  std::unique_ptr<Buffer> repack(const Tensor& weight) override { return inner_.repack(weight); }
  size_t repacked_bytes(const Tensor& weight) const override { return inner_.repacked_bytes(weight); }
  std::unique_ptr<RowScreen> make_screen(const Tensor& weight) override { return inner_.make_screen(weight); }
  size_t screen_bytes(const Tensor& weight) const override { return inner_.screen_bytes(weight); }
  int64_t best_rows(const BestRows& request, const float* x, std::vector<ScoredRow>& best) override {
    return inner_.best_rows(request, x, best);
  }
  void norm_rope(float* x, int64_t n_rows, int64_t n_heads, int64_t head_dim, const float* weight, float eps,
                 const Rope* rope, const int32_t* positions) override {
    inner_.norm_rope(x, n_rows, n_heads, head_dim, weight, eps, rope, positions);
  }
  void store_kv(std::span<const Segment> segments, const float* k, const float* v,
                int64_t row_size) override {
    inner_.store_kv(segments, k, v, row_size);
  }
  void attention(std::span<const Segment> segments, const AttentionShape& shape, const float* q,
                 float* out) override {
    inner_.attention(segments, shape, q, out);
  }
  void geglu(const float* gate, const float* up, int64_t up_stride, int64_t n_rows, int64_t n,
             float* out) override {
    inner_.geglu(gate, up, up_stride, n_rows, n, out);
  }
  void route(const float* scores, int64_t n_rows, int64_t n_experts, int64_t n_used, int32_t* experts,
             float* gates) override {
    inner_.route(scores, n_rows, n_experts, n_used, experts, gates);
  }
  void soft_cap(float* x, int64_t n, float cap) override { inner_.soft_cap(x, n, cap); }

 private:
  void show(std::initializer_list<const Tensor*> weights, int64_t matrix, const float* x, int64_t n_rows) {
    weights_.assign(weights);
    observer_({weights_, matrix, x, n_rows});
  }

  // The rows that chose expert `e`, through its first matrices.
  void show_expert(const ExpertWeights& w, int64_t e, const float* x, std::span<const int32_t> chosen,
                   int64_t n_used) {
    const int64_t dim = w.down.shape[1], n_ff = w.n_ff;
    rows_.clear();
    for (size_t i = 0; i < chosen.size(); ++i)
      if (chosen[i] == e) rows_.push_back(static_cast<int64_t>(i) / n_used);
    if (rows_.empty()) return;
    const auto n = static_cast<int64_t>(rows_.size());
    float* const input = room(0, n * dim);
    float* const hidden = room(1, 2 * n * n_ff);
    inner_.copy_rows(x, rows_, dim, input);
    if (w.gate_up) {
      show({&w.gate_up}, e, input, n);
      const Tensor gate_up = w.gate_up.slice(e);
      const Product product{&gate_up, hidden, 2 * n_ff};
      inner_.matmul({&product, 1}, input, n);
    } else {
      show({&w.gate, &w.up}, e, input, n);
      const Tensor gate = w.gate.slice(e), up = w.up.slice(e);
      const Product products[] = {{&gate, hidden, 2 * n_ff}, {&up, hidden + n_ff, 2 * n_ff}};
      inner_.matmul(products, input, n);
    }
    float* const activated = room(2, n * n_ff);
    for (int64_t r = 0; r < n; ++r)
      inner_.geglu(hidden + 2 * n_ff * r, hidden + 2 * n_ff * r + n_ff, n_ff, 1, n_ff, activated + n_ff * r);
    show({&w.down}, e, activated, n);
  }

  // Scratch number i, of at least n floats.
  float* room(size_t i, int64_t n) {
    const auto n_bytes = static_cast<size_t>(n) * sizeof(float);
    if (!scratch_[i] || scratch_[i]->size() < n_bytes) scratch_[i] = inner_.allocate(n_bytes);
    return static_cast<float*>(scratch_[i]->data());
  }

  Backend& inner_;
  InputObserver observer_;
  std::vector<const Tensor*> weights_;
  std::vector<int64_t> rows_;
  std::unique_ptr<Buffer> scratch_[3];
};

}  // namespace

std::unique_ptr<Backend> tap(Backend& inner, InputObserver observer) {
  return std::make_unique<TappedBackend>(inner, std::move(observer));
}

}  // namespace carat
