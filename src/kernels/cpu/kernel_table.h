// What the CPU backend asks of an instruction set: one constant table of functions per ISA, filled by an
// object that is compiled with that ISA's flags. This header is seen by those objects, so it must stay free
// of standard templates: an inline copy compiled with AVX-512 could be the one that the linker keeps for the
// whole program.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace carat {

// For pieces of kernels that are called from so many places that a compiler would keep them apart, with their results in
// memory instead of registers.
#define CARAT_ALWAYS_INLINE inline __attribute__((always_inline))

// out[t * out_stride + r] = sum_i weight[r, i] * x[t, i]: rows of f32, f16 or bf16 with f32 rows; or both of pairs of bf16
// (products_bf16_pairs), which take the place of floats.
struct FloatDots {
  const void* weights;
  int64_t weight_stride;  // bytes between rows
  int64_t n_rows;
  const float* x;
  int64_t x_stride;  // floats between rows
  int64_t n_tokens;
  int64_t k;  // length of the rows
  float* out;
  int64_t out_stride;
  int64_t n_next = 0;  // rows behind these that are likely to be read soon, and worth fetching
};

// What belongs to 32 activations rounded to 8 bits: value = scale * integer, and sums of the integers.
struct Int8Block {
  float scale;
  int16_t sums[3][2];  // of the first 16, the others, all: those at places 0 and 1 of each 4, those at 2 and 3
  float scaled32;     // scale * sum of all
  float scaled16[2];  // scale * sums
};

// Activations rounded to 8 bits, one row per token: `k` integers (a multiple of 32) and a block for each 32.
struct Int8Rows {
  int8_t* q;           // [n, q_stride], -127 … 127
  Int8Block* blocks;   // [n, block_stride]
  int64_t q_stride;
  int64_t block_stride;
};

// The same product for blocks of integers with integer activations.
struct Int8Dots {
  const uint8_t* weights;
  int64_t row_bytes;  // between rows; at least a row's own. Packed: exactly that
  int64_t n_rows;
  int64_t k;
  Int8Rows x;
  int64_t n_tokens;
  float* out;
  int64_t out_stride;
  void* scratch;  // int8_scratch_bytes(), 64-byte aligned
  bool packed = false;  // weights are packed panels (packed_rows.h), 16-byte aligned; n_rows is a multiple of kPanelRows
};

// Rows of a weight are multiplied in panels of so many. Up to kFewTokens tokens are bound by memory and have paths of their
// own.
inline constexpr int64_t kPanelRows = 16, kFewTokens = 4;

// How many tokens, and how many panels of 16 rows, an int8_dots kernel works on in turn: the tokens' values of one piece
// of k (1,024) and the panels' sums share the second-level cache with a panel.
inline constexpr int64_t kInt8TokensAtOnce = 128, kInt8PanelsAtOnce = 8;
constexpr int64_t int8_tokens_at_once(int64_t n_tokens) {
  return n_tokens < kInt8TokensAtOnce ? n_tokens : kInt8TokensAtOnce;
}

// Bytes of scratch that one call of an int8_dots kernel uses.
constexpr size_t int8_scratch_bytes(int64_t row_bytes, int64_t n_tokens) {
  constexpr size_t panel = 1024 * 16 + 2 * sizeof(float) * 16 * (1024 / 16) + sizeof(float) * 16 * (1024 / 256);
  return panel + static_cast<size_t>(int8_tokens_at_once(n_tokens) * kInt8PanelsAtOnce) * 16 * sizeof(float) +
         static_cast<size_t>(row_bytes) * 16 + 128;
}

// Panels of a screen (row_screen.h draws them) with one rounded row: score[r] estimates the product of row r, and no
// product of it exceeds upper[r] = score[r] + residual[r] * residual_factor + norm[r] * norm_factor + floor.
struct ScreenRows {
  const uint8_t* panels;  // 64-byte aligned
  int64_t panel_bytes;
  int64_t n_panels;
  int64_t k;   // a multiple of 32
  Int8Rows x;  // its row 0
  float residual_factor, norm_factor, floor;
  float* score;  // [16 n_panels]
  float* upper;  // [16 n_panels]
};

// acc[q, :] += sum_i p[q, i] * v[i, :], i in order.
struct WeightedSum {
  const float* p;
  int64_t p_stride;
  int64_t n_queries;
  const void* v;
  int64_t v_stride;  // bytes between positions
  int64_t n_positions;
  int64_t dim;
  float* acc;
  int64_t acc_stride;  // floats between queries
  int64_t n_next = 0;  // positions behind these that are likely to be read soon
};

// out[r, :] = what row r of a cache decodes to, value for value as its codec says; times norm, if given.
struct CellRows {
  const void* cells;
  int64_t stride;  // bytes between rows
  int64_t n_rows;
  int64_t k;
  const float* norm;  // [k] or nullptr
  float* out;
  int64_t out_stride;  // floats between rows
};

constexpr int64_t kMixed = 64;  // values that the Hadamard matrix H mixes with each other

// The first n_turning pairs (i, i + half) of each row turn by the angle whose cosine and sine stand in
// angles[r, i] and angles[r, n_turning + i].
struct TurnRows {
  float* x;  // [n_rows, 2 half]
  int64_t n_rows;
  int64_t half;
  int64_t n_turning;
  const float* angles;  // [n_rows, 2 n_turning]
};

// Quantized types with an integer kernel; each has an unpacker of its name in generic/.
#define CARAT_INT8_FORMATS(FORMAT)                                                               \
  FORMAT(Q4_0)                                                                                   \
  FORMAT(Q4_1)                                                                                   \
  FORMAT(Q5_0) FORMAT(Q5_1) FORMAT(Q8_0) FORMAT(IQ4_NL) FORMAT(MXFP4) FORMAT(NVFP4) FORMAT(Q2_K) \
      FORMAT(Q3_K) FORMAT(Q4_K) FORMAT(Q5_K) FORMAT(Q6_K) FORMAT(IQ4_XS)

enum class Int8Format : int {
#define CARAT_FORMAT(name) name,
  CARAT_INT8_FORMATS(CARAT_FORMAT)
#undef CARAT_FORMAT
      count
};
inline constexpr int kInt8FormatCount = static_cast<int>(Int8Format::count);

// The kernels: KERNEL(name, arguments). All return nothing and write through their arguments.
#define CARAT_KERNELS(KERNEL)                                                                 \
  /* dots: of a cache's cells with queries; products: of weights with activations */          \
  KERNEL(dots_f32, (const FloatDots&))                                                        \
  KERNEL(dots_f16, (const FloatDots&))                                                        \
  KERNEL(dots_bf16, (const FloatDots&))                                                       \
  KERNEL(products_f32, (const FloatDots&))                                                    \
  KERNEL(products_f16, (const FloatDots&))                                                    \
  KERNEL(products_bf16, (const FloatDots&))                                                   \
  KERNEL(weighted_sum_f32, (const WeightedSum&))                                              \
  KERNEL(weighted_sum_f16, (const WeightedSum&))                                              \
  KERNEL(weighted_sum_bf16, (const WeightedSum&))                                             \
  KERNEL(decode_f32, (const CellRows&))                                                       \
  KERNEL(decode_f16, (const CellRows&))                                                       \
  KERNEL(decode_bf16, (const CellRows&))                                                      \
  KERNEL(decode_q8_0, (const CellRows&)) /* of blocks: k is a multiple of 32 */               \
  KERNEL(decode_q5_0, (const CellRows&))                                                      \
  KERNEL(decode_q4_0, (const CellRows&))                                                      \
  KERNEL(turn_rows, (const TurnRows&))                                                        \
  /* x[64 i … 64 i + 63] = H x[the same] / 8 for all i; n is a multiple of 64 */            \
  KERNEL(mix, (float* x, int64_t n))                                                          \
  /* x[0 … n) -> exp(x - max); *largest gets max and *sum their sum. n >= 1 */              \
  KERNEL(softmax, (float* x, int64_t n, float* largest, float* sum))                          \
  /* acc = acc * a + x * b */                                                                 \
  KERNEL(blend, (float* acc, const float* x, int64_t n, float a, float b))                    \
  /* out = x / divisor */                                                                     \
  KERNEL(divide, (const float* x, int64_t n, float divisor, float* out))                      \
  KERNEL(quantize_row, (const float* x, int64_t k, const Int8Rows& rows, int64_t row))        \
  KERNEL(screen_rows, (const ScreenRows&))                                                    \
  KERNEL(rms_norm, (const float* x, const float* weight, int64_t n, float eps, float* out))   \
  KERNEL(add_rms_norm, (const float* x, const float* weight, int64_t n, float eps, float* h)) \
  KERNEL(add_scale, (float* x, const float* y, int64_t n, float scale))                       \
  /* out[i] += a * x[i], or = where `first` */                                                \
  KERNEL(accumulate, (const float* x, int64_t n, float a, bool first, float* out))            \
  /* one head: (x[i], x[i+half]) turned by the angle of (cosine[i], sine[i]) */               \
  KERNEL(rotate, (float* x, int64_t half, const float* cosine, const float* sine))            \
  KERNEL(geglu, (const float* gate, const float* up, int64_t n, float* out))                  \
  KERNEL(soft_cap, (float* x, int64_t n, float cap))                                          \
  KERNEL(exponential, (float* x, int64_t n))                                                  \
  KERNEL(to_f16, (const float* x, int64_t n, uint16_t* out))                                  \
  KERNEL(to_bf16, (const float* x, int64_t n, uint16_t* out))                                 \
  /* probes: at most 2^22 rounds of multiply-adds out of registers, how many, and a sum of all */ \
  KERNEL(peak_int8, (int64_t n_rounds, int64_t* n_multiply_adds, float* out))                 \
  KERNEL(peak_bf16, (int64_t n_rounds, int64_t* n_multiply_adds, float* out))                 \
  KERNEL(peak_f32, (int64_t n_rounds, int64_t* n_multiply_adds, float* out))

struct KernelTable {
  const char* name = nullptr;
#define CARAT_KERNEL(kernel, arguments) void(*kernel) arguments = nullptr;
  CARAT_KERNELS(CARAT_KERNEL)
#undef CARAT_KERNEL
  void (*int8_dots[kInt8FormatCount])(const Int8Dots&) = {};
  // BF16 rows with activations that are rounded to bf16: x holds pairs of them in place of floats, and k and x_stride count
  // pairs. Denormal values count as zero. Null where no instruction multiplies bf16.
  void (*products_bf16_pairs)(const FloatDots&) = nullptr;
};

}  // namespace carat
