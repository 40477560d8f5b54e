// Backend: the only virtual interface. About twenty coarse operations, enough to write the Gemma 4 network once
// (model/forward.cpp) and run it anywhere. Activations are row-major f32 [n_rows, dim] in the backend's memory;
// weights are Tensors in any type that has a codec, and in every operation count with their scale.
//
// The contract that everything else leans on: a row's result depends on that row (and, for attention, on its own
// keys) alone - not on the other rows of the call, the number of threads, or how a prompt was cut into calls.
//
// One caller at a time: operations share scratch memory and threads. Two threads that compute need a backend each;
// a second call while one is under way is a CHECK, not a wait. allocate() may be called at any time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "tensor/tensor.h"

namespace carat {

enum class Precision {
  fast,   // activations are rounded: to 8 bits per 32 values, with f32 scales, for quantized weights; to bf16 for weights in
          // BF16 where the CPU multiplies it
  exact,  // activations stay f32, weights are decoded: what a judgement of the weights needs
};

// y[t, :] = weight x[t, :] for each of n_tokens rows. weight [in, out].
struct Product {
  const Tensor* weight;
  float* out;           // [n_tokens, out_stride]
  int64_t out_stride;   // floats between rows of out; normally the weight's n_rows()
};

// Rotary embedding of one layer type: pair (i, i + head_dim/2) turns by position * inverse_frequency[i];
// 0 leaves a pair alone. inverse_frequency [head_dim / 2].
struct Rope {
  std::span<const float> inverse_frequency;
};

// One layer's cache of one sequence: n_cells rows of K and of V, each n_kv_heads * head_dim values of its type.
// Position p lives in cell p % n_cells. Without `k` the values serve as keys too: see KeyRule.
//
// Where `mixed`, cells in blocks (not those of F32, F16 or BF16) hold each 64 values of a head times the orthonormal
// Hadamard matrix: it spreads a value that stands out over all of them, so that it does not widen the steps of a block.
// Results are those without it, but for rounding. Only for heads that are multiples of 64.
struct KvView {
  std::byte* k = nullptr;
  std::byte* v = nullptr;
  TensorType k_type = TensorType::F16, v_type = TensorType::F16;
  int64_t n_cells = 0;
  bool mixed = false;

  bool k_is_mixed() const { return mixed && type_info(k_type).block_length > 1; }
  bool v_is_mixed() const { return mixed && type_info(v_type).block_length > 1; }
};

// How the keys of a layer whose V is its raw K projection follow from its values: both are the same vector u over the
// same root mean square, so V = u, and K = u * norm, turned as at its position.
struct KeyRule {
  const float* norm;  // [head_dim]
  const Rope* rope;
};

// The rows [first_row, first_row + n_rows) of a call belong to one sequence and stand at consecutive positions.
struct Segment {
  int64_t first_row;
  int64_t n_rows;
  int64_t position;  // of the first row
  KvView kv;
};

struct AttentionShape {
  int64_t n_heads, n_kv_heads, head_dim;
  int64_t window;  // a query at p sees keys p-window+1 … p; 0: all keys 0 … p
  const KeyRule* key_rule = nullptr;  // needed where a cache has no keys
};

// The mixture of experts of one layer (reference sheet 2.7). n_ff is the experts' hidden width.
struct ExpertWeights {
  Tensor gate_up;             // [dim, 2 n_ff, n_experts], gate rows first; or absent and then
  Tensor gate, up;            // [dim, n_ff, n_experts] each
  Tensor down;                // [n_ff, dim, n_experts]
  const float* output_scale;  // [n_experts] or nullptr
  int64_t n_ff;
};

// Memory of a backend; a plain host pointer on the CPU.
class Buffer {
 public:
  virtual ~Buffer() = default;
  virtual void* data() = 0;
  virtual size_t size() const = 0;
};

// A short copy of a weight's rows with bounds of what it leaves out, made once: see Backend::make_screen.
class RowScreen {
 public:
  virtual ~RowScreen() = default;
  virtual size_t n_bytes() const = 0;  // what it occupies beside the weight
};

// Which rows of weight x score highest, where a row's score is cap * tanh(y / cap) of its product y (cap 0: y itself).
struct BestRows {
  const Tensor* weight;       // [in, out], one matrix
  const RowScreen* screen;    // made of this weight by the same backend; nullptr: all rows are scored in full
  float cap;
  std::span<const int32_t> excluded;  // rows that do not count; numbers outside [0, out) are ignored
  int64_t n_best;             // at least 1
};

struct ScoredRow {
  int32_t row;
  float score;
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string_view name() const = 0;  // "cpu avx512vnni, 2 threads"
  virtual Precision precision() const = 0;
  virtual std::unique_ptr<Buffer> allocate(size_t bytes) = 0;  // zeroed, 64-byte aligned
  virtual void copy_rows(const float* from, std::span<const int64_t> rows, int64_t dim, float* out) = 0;

  // out[t, :] = table[token[t], :] * scale. table [dim, n_vocab]; out [n, dim]
  virtual void embed(const Tensor& table, std::span<const int32_t> tokens, float scale, float* out) = 0;

  // out[r, :] = x[r, :] / sqrt(mean(x[r, :]^2) + eps) * weight; weight [dim] or nullptr (weightless); out may be x.
  virtual void rms_norm(const float* x, const float* weight, int64_t n_rows, int64_t dim, float eps, float* out) = 0;
  // h[r, :] += RMS(x[r, :]; weight)
  virtual void add_rms_norm(const float* x, const float* weight, int64_t n_rows, int64_t dim, float eps, float* h) = 0;
  // x[i] = (x[i] + y[i]) * scale;  y nullptr: x[i] *= scale.  n values
  virtual void add_scale(float* x, const float* y, int64_t n, float scale) = 0;

  // The weight's rows in the order in which matmul() and experts() read them fastest, for Tensor::packed of this weight: the
  // same results, to the bit, for repacked_bytes() of memory. nullptr, and 0: there is no better order than the file's.
  // Throws std::bad_alloc.
  virtual std::unique_ptr<Buffer> repack(const Tensor& weight) = 0;
  virtual size_t repacked_bytes(const Tensor& weight) const = 0;

  // Several weights on the same input x [n_tokens, in]: the input is prepared once.
  virtual void matmul(std::span<const Product> products, const float* x, int64_t n_tokens) = 0;

  // A screen for best_rows(), or nullptr where this weight has none: its type is no longer than a screen, or its rows
  // are not multiples of 32. Takes time and memory: an offer to those who will ask for best rows often.
  virtual std::unique_ptr<RowScreen> make_screen(const Tensor& weight) = 0;
  virtual size_t screen_bytes(const Tensor& weight) const = 0;  // of its screen; 0: none

  // The n_best rows for one input x [in], best first, equal scores by row; scores of NaN or -infinity are left out.
  // Rows and scores are those of matmul() and soft_cap(), bit for bit, with a screen or without. Returns how many
  // rows were scored in full: all of them where the screen left too many.
  virtual int64_t best_rows(const BestRows& request, const float* x, std::vector<ScoredRow>& best) = 0;

  // Per head: RMS norm (weight [head_dim] or nullptr) and then, if rope is given, rotation at the row's position.
  // x [n_rows, n_heads * head_dim], in place. positions [n_rows].
  virtual void norm_rope(float* x, int64_t n_rows, int64_t n_heads, int64_t head_dim, const float* weight, float eps,
                         const Rope* rope, const int32_t* positions) = 0;

  // Writes K and V rows [n_rows, n_kv_heads * head_dim] into the cells of their positions; k is not read for caches
  // without keys. Blocks of a type are whole within a head: head_dim is a multiple of their length.
  virtual void store_kv(std::span<const Segment> segments, const float* k, const float* v, int64_t row_size) = 0;

  // Softmax attention, scale 1, causal, of q [n_rows, n_heads * head_dim] over each segment's cache (which already
  // holds the rows' own keys). Query head i reads KV head i / (n_heads / n_kv_heads). out like q.
  virtual void attention(std::span<const Segment> segments, const AttentionShape& shape, const float* q,
                         float* out) = 0;

  // out[r, i] = gelu_tanh(gate[r, i]) * up[r, i]; rows of `up` are up_stride floats apart; out may be gate.
  virtual void geglu(const float* gate, const float* up, int64_t up_stride, int64_t n_rows, int64_t n,
                     float* out) = 0;

  // Router: per row, softmax over n_experts scores, the n_used best (ties: the lower index), renormalised.
  // scores [n_rows, n_experts] -> experts, gates [n_rows, n_used], best first.
  virtual void route(const float* scores, int64_t n_rows, int64_t n_experts, int64_t n_used, int32_t* experts,
                     float* gates) = 0;
  // out[r, :] = sum over the row's experts, best first, of gate * output_scale * FFN_e(x[r, :]).
  virtual void experts(const ExpertWeights& weights, const float* x, int64_t n_rows, int64_t n_used,
                       const int32_t* experts, const float* gates, float* out) = 0;

  // x[i] = cap * tanh(x[i] / cap); cap 0: nothing.
  virtual void soft_cap(float* x, int64_t n, float cap) = 0;
};

struct CpuOptions {
  int n_threads = 1;
  Precision precision = Precision::fast;
};

// The CPU backend for the best ISA of this machine, or the one that CARAT_ISA names ("scalar", "avx2",
// "avxvnni", "avx512vnni", "avx512bf16"). Errors: an unknown name (with the list of known ones) or an ISA this machine lacks.
Result<std::unique_ptr<Backend>> make_cpu_backend(const CpuOptions& options);

}  // namespace carat
