// Attention by blocks of queries: each block's scores are one small matrix product against the keys it can
// see.
#include "train/ops_attention.h"

#include <algorithm>

#include "train/blas.h"
#include "train/vector_loops.h"

namespace carat::train {
namespace {

constexpr int64_t kQueryBlock = 32;

// Keys that a block of queries can see, at most.
int64_t widest_block(const AttentionRows& rows) {
  return rows.window > 0 ? std::min(rows.length, rows.window + kQueryBlock - 1) : rows.length;
}

ScoreTile tile_of(const AttentionRows& rows, int64_t first_query, float* scores) {
  ScoreTile tile;
  tile.scores = scores;
  tile.n_queries = std::min(kQueryBlock, rows.length - first_query);
  tile.first_query = first_query;
  tile.first_key = rows.window > 0 ? std::max<int64_t>(0, first_query - rows.window + 1) : 0;
  tile.n_keys = first_query + tile.n_queries - tile.first_key;
  tile.stride = tile.n_keys;
  tile.window = rows.window;
  return tile;
}

// Where a block's queries and keys start in [n_tokens, heads * head_dim] arrays.
struct Place {
  int64_t q, kv, log_sum;
};

Place place_of(const AttentionRows& rows, const ScoreTile& tile, int64_t row, int64_t head) {
  const int64_t kv_head = head / (rows.n_heads / rows.n_kv_heads);
  const int64_t query = row * rows.length + tile.first_query, key = row * rows.length + tile.first_key;
  return {query * rows.q_size() + head * rows.head_dim, key * rows.kv_size() + kv_head * rows.head_dim,
          query * rows.n_heads + head};
}

template <class Body>
void for_each_block(const AttentionRows& rows, float* scores, Body&& body) {
  for (int64_t row = 0; row < rows.n_rows; ++row)
    for (int64_t head = 0; head < rows.n_heads; ++head)
      for (int64_t first = 0; first < rows.length; first += kQueryBlock) {
        const ScoreTile tile = tile_of(rows, first, scores);
        body(tile, place_of(rows, tile, row, head));
      }
}

void make_scores(const AttentionRows& rows, const ScoreTile& tile, const float* q, const float* k) {
  multiply_nt(tile.n_queries, tile.n_keys, rows.head_dim, 1, q, rows.q_size(), k, rows.kv_size(), 0,
              tile.scores, tile.stride);
}

}  // namespace

size_t attention_scratch(const AttentionRows& rows) {
  return static_cast<size_t>(2 * kQueryBlock * widest_block(rows) + kQueryBlock);
}

void attention(const AttentionRows& rows, const float* q, const float* k, const float* v, float* out,
               float* log_sum, float* scratch) {
  const VectorLoops& loops = vector_loops();
  for_each_block(rows, scratch, [&](const ScoreTile& tile, const Place& at) {
    make_scores(rows, tile, q + at.q, k + at.kv);
    loops.attention_softmax(tile, log_sum + at.log_sum, rows.n_heads);
    multiply_nn(tile.n_queries, rows.head_dim, tile.n_keys, 1, tile.scores, tile.stride, v + at.kv,
                rows.kv_size(), 0, out + at.q, rows.q_size());
  });
}

void attention_backward(const AttentionRows& rows, const float* q, const float* k, const float* v,
                        const float* out, const float* log_sum, const float* dout, float* dq, float* dk,
                        float* dv, float* scratch) {
  const VectorLoops& loops = vector_loops();
  float* gradient = scratch + kQueryBlock * widest_block(rows);
  float* delta = gradient + kQueryBlock * widest_block(rows);
  const int64_t q_size = rows.q_size(), kv_size = rows.kv_size(), dim = rows.head_dim;
  for_each_block(rows, scratch, [&](const ScoreTile& tile, const Place& at) {
    make_scores(rows, tile, q + at.q, k + at.kv);
    loops.attention_probabilities(tile, log_sum + at.log_sum, rows.n_heads);
    for (int64_t i = 0; i < tile.n_queries; ++i)
      delta[i] = loops.dot(dout + at.q + i * q_size, out + at.q + i * q_size, dim);
    multiply_tn(tile.n_keys, dim, tile.n_queries, 1, tile.scores, tile.stride, dout + at.q, q_size, 1,
                dv + at.kv, kv_size);
    multiply_nt(tile.n_queries, tile.n_keys, dim, 1, dout + at.q, q_size, v + at.kv, kv_size, 0, gradient,
                tile.stride);
    loops.attention_score_gradient(tile, delta, gradient);
    multiply_nn(tile.n_queries, dim, tile.n_keys, 1, gradient, tile.stride, k + at.kv, kv_size, 0, dq + at.q,
                q_size);
    multiply_tn(tile.n_keys, dim, tile.n_queries, 1, gradient, tile.stride, q + at.q, q_size, 1, dk + at.kv,
                kv_size);
  });
}

}  // namespace carat::train
