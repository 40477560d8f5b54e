// The inner loops of training that are not matrix products, compiled once per instruction set from one source
// (vector_loops.inc). All work in 16 lanes of f32 in one fixed order without contraction, so every
// instruction set gives the same bits.
#pragma once

#include <stdint.h>

namespace carat::train {

// One tile of attention scores: rows are the queries at positions first_query …, columns the keys at
// positions first_key …. Query p sees keys max(0, p - window + 1) … p; window 0: all up to p.
struct ScoreTile {
  float* scores;  // [n_queries, stride]
  int64_t stride, n_queries, n_keys;
  int64_t first_query, first_key, window;
};

struct AdamStep {
  float beta1, beta2, epsilon;
  float learning_rate;      // warm-up, schedule and the correction of both moments included
  float second_correction;  // 1 / (1 - beta2^t)
  float decay;              // learning rate * weight decay
};

struct VectorLoops {
  const char* name;

  // y[r] = x[r] * inverse[r] * weight, inverse[r] = 1 / sqrt(mean(x[r]^2) + eps). weight [dim] or nullptr.
  // x, y [n_rows, dim]; y may be x.
  void (*rms_norm)(const float* x, const float* weight, int64_t n_rows, int64_t dim, float eps, float* y,
                   float* inverse);
  // h_out[r] = h[r] + the same; h_out may be h.
  void (*add_rms_norm)(const float* x, const float* weight, int64_t n_rows, int64_t dim, float eps,
                       const float* h, float* h_out, float* inverse);
  // dx[r] = or += gradient of rms_norm; dweight += (if not nullptr). dx may be dy unless accumulating.
  void (*rms_norm_backward)(const float* x, const float* weight, const float* inverse, const float* dy,
                            int64_t n_rows, int64_t dim, bool accumulate, float* dx, float* dweight);

  // Turns pair (i, i + head_dim/2) of each head by the angle of the token's place in its row:
  // x [n_tokens, n_heads, head_dim] in place; cosine, sine [length, head_dim/2]; sign -1 turns back.
  void (*rotate)(float* x, int64_t n_tokens, int64_t length, int64_t n_heads, int64_t head_dim,
                 const float* cosine, const float* sine, float sign);

  // out[r, i] = gelu_tanh(gate[r, i]) * up[r, i]; rows of `up` are up_stride apart, the others n.
  void (*geglu)(const float* gate, const float* up, int64_t up_stride, int64_t n_rows, int64_t n, float* out);
  // dgate, dup =; rows of up and dup are up_stride apart. dgate may be dout.
  void (*geglu_backward)(const float* gate, const float* up, int64_t up_stride, const float* dout,
                         int64_t n_rows, int64_t n, float* dgate, float* dup);

  // Scores to probabilities (0 where unseen); log_sum[i * log_stride] = log of the sum of exp of query i's
  // scores.
  void (*attention_softmax)(const ScoreTile& tile, float* log_sum, int64_t log_stride);
  // Scores to probabilities again, from the kept log_sum.
  void (*attention_probabilities)(const ScoreTile& tile, const float* log_sum, int64_t log_stride);
  // gradient[i, j] = p[i, j] * (gradient[i, j] - delta[i]); both tiles have tile.stride.
  void (*attention_score_gradient)(const ScoreTile& tile, const float* delta, float* gradient);

  // x = cap * tanh(x / cap)
  void (*soft_cap)(float* x, int64_t n, float cap);
  float (*maximum)(const float* x, int64_t n);
  float (*sum_exp)(const float* x, int64_t n, float shift);  // sum of exp(x - shift)
  // Student's capped logits z to the gradient of scale * (distill * KL(parent || student) + (1 - distill) *
  // CE) before the cap, without the one-hot part of CE, in place; returns the KL. log_sum, parent_log_sum:
  // log of the sum of exp. parent may be nullptr (KL 0); cap 0: none.
  float (*loss_gradient)(float* z, int64_t n, float log_sum, const float* parent, float parent_log_sum,
                         float distill, float scale, float cap);

  float (*dot)(const float* x, const float* y, int64_t n);
  void (*add_scaled)(const float* x, float scale, int64_t n, float* y);  // y += scale * x
  void (*scale)(const float* x, float scale, int64_t n, float* y);       // y = scale * x; y may be x
  void (*add_then_scale)(const float* x, float x_scale, float scale, int64_t n,
                         float* y);  // y = (y + x x_scale) scale
  // out[i] = scale * sum over lanes of parts[lane][i], in lane order; returns the sum of squares of out.
  double (*sum_lanes)(const float* const* parts, int n_parts, int64_t begin, int64_t end, float scale,
                      float* out);
  void (*adam)(const AdamStep& step, float gradient_scale, const float* gradient, int64_t n, float* value,
               float* moment1, float* moment2);
};

// The best set for this machine; CARAT_ISA (the names of the compute kernels: scalar, avx2, any with avx512) forces one
// that the machine has.
const VectorLoops& vector_loops();

// All sets this machine can run, generic first: tests hold them equal.
int n_vector_loops();
const VectorLoops& vector_loops_at(int i);

}  // namespace carat::train
