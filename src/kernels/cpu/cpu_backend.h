// CpuBackend: the coarse operations of Backend on host memory, cut into pieces for threads; the arithmetic is
// in the kernels of one ISA. Only tests and this folder include this header; others call make_cpu_backend().
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "base/memory.h"
#include "kernels/backend.h"
#include "kernels/cpu/attention_tile.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/key_angles.h"
#include "kernels/cpu/scratch.h"

namespace carat {

// Activations rounded to bf16.
struct Bf16Rows {
  uint16_t* values = nullptr;  // [n, stride]
  int64_t stride = 0;          // even
};

// Rows that weights are multiplied with: as floats and, where a weight's kernel wants them, rounded.
struct Activations {
  const float* floats;
  int64_t stride;  // between rows of floats
  Int8Rows int8{};
  Bf16Rows bf16{};

  // The rows from `first` on.
  Activations from(int64_t first) const {
    Activations rest = *this;
    rest.floats += first * stride;
    if (int8.q != nullptr) rest.int8.q += first * int8.q_stride, rest.int8.blocks += first * int8.block_stride;
    if (bf16.values != nullptr) rest.bf16.values += first * bf16.stride;
    return rest;
  }
};

// One matrix product.
struct MatmulJob {
  Tensor weight;  // one matrix [in, out]
  Activations x;
  int64_t n_tokens;
  float* out;
  int64_t out_stride;
};

// Position of a weight's or cache's type in the integer kernels' list, or -1.
int int8_format(TensorType type);

// Memory for n_rows rounded rows of k values, a multiple of 32; the rows are not filled. 64-byte aligned.
size_t int8_rows_bytes(int64_t n_rows, int64_t k);
Int8Rows lay_out_int8_rows(int64_t n_rows, int64_t k, std::byte* memory);

// cos and sin of a batch's positions for one Rope: a forward pass asks for the same two in every layer.
struct RopeTable {
  std::vector<float> inverse_frequency;
  std::vector<int32_t> positions;
  std::vector<float> cosine, sine;  // [n_rows, half]
  uint64_t last_use = 0;
};

// (row, choice) pairs sorted by expert.
struct ExpertSlots {
  std::vector<int64_t> begin;     // [n_experts + 1], in sorted order
  std::vector<int64_t> next;      // [n_experts], while sorting
  std::vector<int64_t> sorted;    // place -> slot
  std::vector<int64_t> place_of;  // slot -> place
};

// Working memory of best_rows().
struct BestRowsScratch {
  std::vector<float> scores, upper;                // [n_rows, filled up to 16]
  std::vector<int32_t> rows;                       // candidates
  std::vector<float> products;                     // of them
  std::vector<float> widened;                      // the input after rounding to bf16
  std::vector<ScoredRow> heap;                     // the best so far, the worst of them first
  std::vector<std::vector<ScoredRow>> heaps;       // per thread
  std::vector<std::vector<std::byte>> copies;      // per thread: 16 rows of the weight
};

// Marks a backend as taken while an operation runs: a second caller would write into the same scratch.
class InUse {
 public:
  explicit InUse(std::atomic<bool>& taken) : taken_(taken) {
    const bool backend_is_free = !taken_.exchange(true, std::memory_order_acquire);
    CHECK(backend_is_free);
  }
  ~InUse() { taken_.store(false, std::memory_order_release); }
  InUse(const InUse&) = delete;
  InUse& operator=(const InUse&) = delete;

 private:
  std::atomic<bool>& taken_;
};

// How work is dealt to threads: in equal pieces, eight a thread; in one piece each, where a piece begins with memory's latency;
// or half of it in one piece each and the rest in small ones, of which a thread that has been slow takes fewer.
enum class Dealing { equal, one_each, large_first };

class CpuBackend final : public Backend {
 public:
  CpuBackend(const Isa& isa, const CpuOptions& options);

  std::string_view name() const override { return name_; }
  Precision precision() const override { return precision_; }
  const char* isa_name() const { return kernels_.name; }

  std::unique_ptr<Buffer> allocate(size_t bytes) override;
  void copy_rows(const float* from, std::span<const int64_t> rows, int64_t dim, float* out) override;
  void embed(const Tensor& table, std::span<const int32_t> tokens, float scale, float* out) override;
  void rms_norm(const float* x, const float* weight, int64_t n_rows, int64_t dim, float eps,
                float* out) override;
  void add_rms_norm(const float* x, const float* weight, int64_t n_rows, int64_t dim, float eps,
                    float* h) override;
  void add_scale(float* x, const float* y, int64_t n, float scale) override;
  void matmul(std::span<const Product> products, const float* x, int64_t n_tokens) override;
  std::unique_ptr<Buffer> repack(const Tensor& weight) override;
  size_t repacked_bytes(const Tensor& weight) const override;
  std::unique_ptr<RowScreen> make_screen(const Tensor& weight) override;
  size_t screen_bytes(const Tensor& weight) const override;
  int64_t best_rows(const BestRows& request, const float* x, std::vector<ScoredRow>& best) override;
  void norm_rope(float* x, int64_t n_rows, int64_t n_heads, int64_t head_dim, const float* weight, float eps,
                 const Rope* rope, const int32_t* positions) override;
  void store_kv(std::span<const Segment> segments, const float* k, const float* v, int64_t row_size) override;
  void attention(std::span<const Segment> segments, const AttentionShape& shape, const float* q,
                 float* out) override;
  void geglu(const float* gate, const float* up, int64_t up_stride, int64_t n_rows, int64_t n,
             float* out) override;
  void route(const float* scores, int64_t n_rows, int64_t n_experts, int64_t n_used, int32_t* experts,
             float* gates) override;
  void experts(const ExpertWeights& weights, const float* x, int64_t n_rows, int64_t n_used,
               const int32_t* experts, const float* gates, float* out) override;
  void soft_cap(float* x, int64_t n, float cap) override;

 private:
  // body(begin, end, thread) over [0, n_units) in pieces that idle threads take one after another.
  template <class Body>
  void share(int64_t n_units, const Body& body, Dealing dealing = Dealing::equal);
  // body(row) or body(row, thread) for n_rows rows that cost about `values` elements each: in one thread when they are
  // few.
  template <class Body>
  void each_row(int64_t n_rows, int64_t values, const Body& body);

  bool wants_int8(const Tensor& weight) const;
  bool wants_bf16(const Tensor& weight) const;
  Int8Rows round_rows(const float* x, int64_t n_rows, int64_t k);
  Bf16Rows round_rows_to_bf16(const float* x, int64_t n_rows, int64_t k);
  void run_jobs(int64_t k);
  void run_rows(const MatmulJob& job, int64_t first_row, int64_t n_rows, Scratch& scratch);
  void dot_rows(const MatmulJob& job, int64_t first_row, int64_t n_rows, Scratch& scratch);
  void score_rows(const MatmulJob& job, std::span<const int32_t> rows, float* out);
  void screen_all(const BestRows& request, const ScreenRows& input);
  bool screened_candidates(const BestRows& request, const MatmulJob& job);
  void all_candidates(const BestRows& request, MatmulJob job);
  const RopeTable& rope_table(const Rope& rope, int64_t n_rows, const int32_t* positions);

  void attend_whole(const AttentionCall& call);
  void attend_split(const AttentionCall& call, int64_t n_spans, int64_t n_floats);
  void add_expert_jobs(const Tensor& stack, const Activations& x, float* out, int64_t out_stride);
  Int8Rows round_rows_of_slots(const float* x, int64_t n_rows, int64_t n_used, int64_t k);

  KernelTable kernels_;
  Precision precision_;
  ThreadPool pool_;
  std::string name_;
  std::vector<Scratch> scratch_;  // per thread
  Scratch int8_scratch_, bf16_scratch_, expert_scratch_, slot_scratch_, partial_scratch_;
  std::vector<MatmulJob> jobs_;  // of the product in progress
  std::vector<int64_t> panel_ends_;
  std::vector<AttentionTile> tiles_;  // of the attention in progress
  KeyAngles key_angles_;
  ExpertSlots slots_;                 // of the experts in progress
  BestRowsScratch best_;
  RopeTable rope_tables_[4];
  uint64_t rope_uses_ = 0;
  std::atomic<bool> in_use_{false};
};

template <class Body>
void CpuBackend::share(int64_t n_units, const Body& body, Dealing dealing) {
  const int n_threads = pool_.size();
  if (n_threads == 1 || n_units <= 1) {
    if (n_units > 0) body(int64_t{0}, n_units, 0);
    return;
  }
  const bool large_first = dealing == Dealing::large_first;
  const int64_t first = large_first ? n_units / (2 * n_threads) : 0;  // of each thread
  // Small pieces of four units at least: their first one comes unasked.
  const int64_t piece = large_first ? std::max<int64_t>(n_units / (32 * n_threads), 4)
                                    : n_units / (n_threads * (dealing == Dealing::one_each ? 1 : 8)) + 1;
  std::atomic<int64_t> next{first * n_threads};
  pool_.parallel_for(n_threads, 1, [&](int64_t part, int64_t, int thread) {
    if (first > 0) body(first * part, first * (part + 1), thread);
    for (int64_t begin; (begin = next.fetch_add(piece, std::memory_order_relaxed)) < n_units;)
      body(begin, begin + piece < n_units ? begin + piece : n_units, thread);
  });
}

template <class Body>
void CpuBackend::each_row(int64_t n_rows, int64_t values, const Body& body) {
  constexpr int64_t kWorthThreads = 16384;  // about as much work as waking the others costs
  const auto rows = [&](int64_t begin, int64_t end, [[maybe_unused]] int thread) {
    for (int64_t row = begin; row < end; ++row) {
      if constexpr (std::is_invocable_v<Body, int64_t, int>)
        body(row, thread);
      else
        body(row);
    }
  };
  if (n_rows * values < kWorthThreads)
    rows(int64_t{0}, n_rows, 0);
  else
    pool_.parallel_for(n_rows, 1, [&](int64_t begin, int64_t end, int thread) { rows(begin, end, thread); });
}

}  // namespace carat
