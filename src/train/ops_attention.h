// Causal softmax attention over whole rows, with grouped query heads and a sliding window. Work goes by
// blocks of queries against the keys that the block can see, so a window costs what it sees; probabilities
// are not kept but made again in the backward pass.
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat::train {

struct AttentionRows {
  int64_t n_rows, length;  // tokens [n_rows * length], positions 0 … length-1 in each row
  int64_t n_heads, n_kv_heads, head_dim;
  int64_t window;  // keys seen, the query's own included; 0: all

  int64_t q_size() const { return n_heads * head_dim; }
  int64_t kv_size() const { return n_kv_heads * head_dim; }
};

// Floats of scratch that the two functions need.
size_t attention_scratch(const AttentionRows& rows);

// q, out [n_tokens, q_size]; k, v [n_tokens, kv_size]; log_sum [n_tokens, n_heads].
void attention(const AttentionRows& rows, const float* q, const float* k, const float* v, float* out,
               float* log_sum, float* scratch);

// dq =; dk, dv += (several layers may read the same keys). `out`, `log_sum` from the forward pass.
void attention_backward(const AttentionRows& rows, const float* q, const float* k, const float* v,
                        const float* out, const float* log_sum, const float* dout, float* dq, float* dk,
                        float* dv, float* scratch);

}  // namespace carat::train
