// Root-mean-square norms of rows and of heads, and the rotary embedding that follows a head's norm.
#pragma once

#include <cstdint>
#include <vector>

namespace carat::train {

// Cosines and sines of one layer's rotary embedding for positions 0 … length-1: [length, head_dim/2]. Pair i
// turns by position * theta^(-2i/head_dim) / divisors[i]; divisors may be nullptr (all 1). A pair whose
// frequency is so low that it never turns (the "proportional" kind divides by 1e30) gets cosine 1 and sine 0.
struct RopeTable {
  RopeTable() = default;
  RopeTable(double theta, int64_t head_dim, int64_t length, const float* divisors);
  std::vector<float> cosine, sine;
};

// The heads of n_tokens tokens in rows of `length`: x [n_tokens, n_heads, head_dim].
struct HeadShape {
  int64_t n_tokens, length, n_heads, head_dim;
};

// y = rope(rms(x; weight)); weight nullptr: weightless, rope nullptr: not turned. inverse [n_tokens,
// n_heads].
void head_norm(const float* x, const float* weight, const RopeTable* rope, const HeadShape& shape, float eps,
               float* y, float* inverse);

// dy is turned back in place; dx = or +=, dweight += (unless nullptr).
void head_norm_backward(const float* x, const float* weight, const RopeTable* rope, const float* inverse,
                        const HeadShape& shape, bool accumulate, float* dy, float* dx, float* dweight);

}  // namespace carat::train
