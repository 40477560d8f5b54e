// What the attention tests share: caches of every type, problems, and softmax attention written plainly in
// double.
#pragma once

#include <array>
#include <cmath>

#include "support.h"

namespace carat::kernels_test {

using enum TensorType;

// How a cache keeps keys and values; `has_keys` off: one vector for both.
struct CacheType {
  TensorType k, v;
  bool has_keys = true, mixed = false;
  CacheType(TensorType both) : k(both), v(both) {}
  CacheType(TensorType keys, TensorType values) : k(keys), v(values) {}
};

// One sequence's cache. Cells lie in memory of exactly their size: sanitizers see a read beyond them.
struct Cache {
  std::vector<std::byte> k, v;
  KvView view;
};

inline Cache make_cache(CacheType type, int64_t n_cells, int64_t row_size) {
  Cache cache;
  cache.v.resize(static_cast<size_t>(n_cells) * row_bytes(type.v, row_size));
  if (type.has_keys) cache.k.resize(static_cast<size_t>(n_cells) * row_bytes(type.k, row_size));
  cache.view = {
      type.has_keys ? cache.k.data() : nullptr, cache.v.data(), type.k, type.v, n_cells, type.mixed};
  return cache;
}

struct Problem {
  AttentionShape shape;
  int64_t n_positions;
  std::vector<float> q, k, v;  // one row per position
  int64_t kv_size() const { return shape.n_kv_heads * shape.head_dim; }
  int64_t q_size() const { return shape.n_heads * shape.head_dim; }
};

inline Problem make_problem(const AttentionShape& shape, int64_t n_positions, uint64_t seed) {
  Problem p{shape, n_positions, {}, {}, {}};
  p.q = gaussian(static_cast<size_t>(n_positions * p.q_size()), seed,
                 3 / std::sqrt(static_cast<double>(shape.head_dim)));
  p.k = gaussian(static_cast<size_t>(n_positions * p.kv_size()), seed + 1);
  p.v = gaussian(static_cast<size_t>(n_positions * p.kv_size()), seed + 2);
  return p;
}

// Stores and attends the positions in pieces of the given lengths, which add up to n_positions.
inline std::vector<float> run(CpuBackend& cpu, const Problem& p, CacheType type, int64_t n_cells,
                              const std::vector<int64_t>& pieces) {
  Cache cache = make_cache(type, n_cells, p.kv_size());
  std::vector<float> out(p.q.size());
  int64_t position = 0;
  for (const int64_t n : pieces) {
    const Segment segment{0, n, position, cache.view};
    cpu.store_kv({&segment, 1}, p.k.data() + position * p.kv_size(), p.v.data() + position * p.kv_size(),
                 p.kv_size());
    cpu.attention({&segment, 1}, p.shape, p.q.data() + position * p.q_size(),
                  out.data() + position * p.q_size());
    position += n;
  }
  EXPECT_EQ(position, p.n_positions);
  return out;
}

// What rows become by being encoded and decoded.
inline std::vector<float> through(TensorType type, const std::vector<float>& values, int64_t row_size) {
  const Codec& codec = codec_of(type);
  std::vector<float> out(values.size());
  std::vector<std::byte> bytes(row_bytes(type, row_size));
  for (size_t i = 0; i < values.size(); i += static_cast<size_t>(row_size)) {
    codec.encode(values.data() + i, row_size, nullptr, bytes.data());
    codec.decode(bytes.data(), row_size, out.data() + i);
  }
  return out;
}

// One query: positions [from, to] of head h, weights in double.
inline void expect_attention(const Problem& p, const std::vector<float>& k, const std::vector<float>& v,
                             const std::vector<float>& out, int64_t position) {
  const AttentionShape& s = p.shape;
  const int64_t from = s.window > 0 ? std::max<int64_t>(0, position - s.window + 1) : 0, dim = s.head_dim;
  for (int64_t h = 0; h < s.n_heads; ++h) {
    const int64_t kv_head = h / (s.n_heads / s.n_kv_heads);
    const float* q = p.q.data() + position * p.q_size() + h * dim;
    std::vector<double> score;
    double largest = -1e300, score_bound = 0;
    for (int64_t j = from; j <= position; ++j) {
      double sum = 0, magnitude = 0;
      for (int64_t i = 0; i < dim; ++i) {
        const double term =
            double{q[i]} * double{k[static_cast<size_t>(j * p.kv_size() + kv_head * dim + i)]};
        sum += term, magnitude += std::fabs(term);
      }
      score.push_back(sum);
      largest = std::max(largest, sum);
      score_bound = std::max(score_bound, magnitude);
    }
    double total = 0;
    for (double& x : score) total += x = std::exp(x - largest);
    // Errors of scores (a sum of dim/16 + 4 additions) and of exp pass to every weight; then one addition a
    // position.
    const double relative = 2 * ((static_cast<double>(dim) / 16 + 8) * kEpsilon * score_bound + 2e-6) +
                            (static_cast<double>(score.size()) + 20) * kEpsilon;
    for (int64_t i = 0; i < dim; ++i) {
      double sum = 0, magnitude = 0;
      for (size_t j = 0; j < score.size(); ++j) {
        const double term =
            score[j] / total *
            double{
                v[static_cast<size_t>((from + static_cast<int64_t>(j)) * p.kv_size() + kv_head * dim + i)]};
        sum += term, magnitude += std::fabs(term);
      }
      ASSERT_NEAR(out[static_cast<size_t>(position * p.q_size() + h * dim + i)], sum, relative * magnitude)
          << "position " << position << " head " << h << " value " << i;
    }
  }
}

}  // namespace carat::kernels_test
