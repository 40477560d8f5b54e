// Attention and the KV cache's cells against softmax written plainly in double; windows, rings and pieces of
// a prompt may not show in a bit of the result.
#include "support.h"

namespace carat::kernels_test {
namespace {

using enum TensorType;

// One sequence's cache, and the values that its cells decode to.
struct Cache {
  std::vector<std::byte> k, v;
  KvView view;
};

Cache make_cache(TensorType type, int64_t n_cells, int64_t row_size) {
  Cache cache;
  cache.k.resize(static_cast<size_t>(n_cells) * row_bytes(type, row_size));
  cache.v.resize(cache.k.size());
  cache.view = {cache.k.data(), cache.v.data(), type, n_cells};
  return cache;
}

struct Problem {
  AttentionShape shape;
  int64_t n_positions;
  std::vector<float> q, k, v;  // one row per position
  int64_t kv_size() const { return shape.n_kv_heads * shape.head_dim; }
  int64_t q_size() const { return shape.n_heads * shape.head_dim; }
};

Problem make_problem(const AttentionShape& shape, int64_t n_positions, uint64_t seed) {
  Problem p{shape, n_positions, {}, {}, {}};
  p.q = gaussian(static_cast<size_t>(n_positions * p.q_size()), seed,
                 3 / std::sqrt(static_cast<double>(shape.head_dim)));
  p.k = gaussian(static_cast<size_t>(n_positions * p.kv_size()), seed + 1);
  p.v = gaussian(static_cast<size_t>(n_positions * p.kv_size()), seed + 2);
  return p;
}

// Stores and attends the positions in pieces of the given lengths, which add up to n_positions.
std::vector<float> run(CpuBackend& cpu, const Problem& p, TensorType type, int64_t n_cells,
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

std::vector<float> through(TensorType type, const std::vector<float>& values, int64_t row_size) {
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
void expect_attention(const Problem& p, const std::vector<float>& k, const std::vector<float>& v,
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

class Attention : public PerIsa {};
CARAT_FOR_EACH_ISA(Attention);

TEST_P(Attention, EveryCacheTypeAndHeadShape) {
  auto cpu = backend();
  const AttentionShape shapes[] = {{1, 1, 32, 0}, {8, 1, 64, 0},  {4, 2, 96, 0},
                                   {6, 6, 32, 0}, {2, 1, 256, 7}, {33, 1, 32, 0}};
  for (const TensorType type : with_codec({F32, F16, BF16, Q8_0, Q4_0}))
    for (const AttentionShape& shape : shapes) {
      const Problem p = make_problem(shape, 23, 5);
      const auto k = through(type, p.k, p.kv_size()), v = through(type, p.v, p.kv_size());
      const std::vector<float> out = run(*cpu, p, type, 23, {23});
      for (int64_t i = 0; i < p.n_positions; ++i) expect_attention(p, k, v, out, i);
    }
}

TEST_P(Attention, HeadsThatAreNotWholeVectors) {
  auto cpu = backend();
  for (const int64_t dim : {1, 5, 16, 24, 40, 100}) {
    const Problem p = make_problem({4, 2, dim, 0}, 19, 9);
    const std::vector<float> out = run(*cpu, p, F32, 19, {19});
    for (int64_t i = 0; i < p.n_positions; ++i) expect_attention(p, p.k, p.v, out, i);
  }
}

TEST_P(Attention, LongCaches) {
  auto cpu = backend(2);
  const Problem p = make_problem({4, 2, 32, 0}, 700, 6);
  const auto k = through(F16, p.k, p.kv_size()), v = through(F16, p.v, p.kv_size());
  const std::vector<float> out = run(*cpu, p, F16, 700, {700});
  for (const int64_t i : {0, 127, 128, 129, 300, 699}) expect_attention(p, k, v, out, i);
}

TEST_P(Attention, AWindowShowsExactlyItsKeys) {
  auto cpu = backend();
  const int64_t window = 8, dim = 32;
  Problem p = make_problem({2, 1, dim, window}, 20, 3);
  const std::vector<float> before = run(*cpu, p, F32, 20, {20});
  // A query at 15 sees 8 … 15. Changing key 7 must not matter, changing key 8 must.
  Problem outside = p, inside = p;
  for (int64_t i = 0; i < dim; ++i) {
    outside.k[static_cast<size_t>(7 * dim + i)] += 1, outside.v[static_cast<size_t>(7 * dim + i)] = NAN;
    inside.v[static_cast<size_t>(8 * dim + i)] += 1;
  }
  const auto a = run(*cpu, outside, F32, 20, {20}), b = run(*cpu, inside, F32, 20, {20});
  const size_t row = static_cast<size_t>(p.q_size());
  EXPECT_TRUE(same_bits(before.data() + 15 * row, a.data() + 15 * row, row));
  EXPECT_FALSE(same_bits(before.data() + 14 * row, a.data() + 14 * row, row));
  EXPECT_FALSE(same_bits(before.data() + 15 * row, b.data() + 15 * row, row));
  EXPECT_TRUE(same_bits(before.data() + 16 * row, b.data() + 16 * row, row));
  for (int64_t i = 0; i < p.n_positions; ++i) expect_attention(p, p.k, p.v, before, i);
}

TEST_P(Attention, PiecesRingsAndThreadsGiveTheSameBits) {
  auto one = backend(1), three = backend(3);
  for (const TensorType type : with_codec({F16, Q8_0}))
    for (const int64_t window : {int64_t{0}, int64_t{1}, int64_t{37}}) {
      const Problem p = make_problem({8, 2, 64, window}, 150, 21);
      const std::vector<float> whole = run(*one, p, type, 150, {150});
      EXPECT_TRUE(same_bits(whole, run(*three, p, type, 150, {150})));
      EXPECT_TRUE(same_bits(whole, run(*one, p, type, 150, {1, 2, 50, 64, 1, 31, 1})));
      EXPECT_TRUE(same_bits(whole, run(*three, p, type, 150, std::vector<int64_t>(150, 1))));
      if (window > 0) {  // a ring of window + largest piece, wrapping at odd places
        EXPECT_TRUE(same_bits(whole, run(*one, p, type, window + 30, {30, 30, 30, 30, 30})));
        EXPECT_TRUE(same_bits(whole, run(*three, p, type, window + 7, std::vector<int64_t>(30, 5))));
        EXPECT_TRUE(same_bits(whole, run(*one, p, type, window + 1, std::vector<int64_t>(150, 1))));
      }
    }
}

TEST_P(Attention, SequencesOfOneCallDoNotMeet) {
  auto cpu = backend(2);
  const AttentionShape shape{4, 2, 32, 0};
  const Problem a = make_problem(shape, 12, 1), b = make_problem(shape, 40, 2);
  const std::vector<float> want_a = run(*cpu, a, F16, 12, {12}), want_b = run(*cpu, b, F16, 40, {40});
  Cache cache_a = make_cache(F16, 12, a.kv_size()), cache_b = make_cache(F16, 64, b.kv_size());
  // First 3 rows of a with 39 of b, then the other 9 of a with the last of b.
  std::vector<float> q, k, v;
  const auto add = [&](const Problem& p, int64_t from, int64_t n) {
    q.insert(q.end(), p.q.begin() + from * p.q_size(), p.q.begin() + (from + n) * p.q_size());
    k.insert(k.end(), p.k.begin() + from * p.kv_size(), p.k.begin() + (from + n) * p.kv_size());
    v.insert(v.end(), p.v.begin() + from * p.kv_size(), p.v.begin() + (from + n) * p.kv_size());
  };
  const size_t row = static_cast<size_t>(a.q_size());
  for (const auto& [a_from, a_n, b_from, b_n] : {std::array<int64_t, 4>{0, 3, 0, 39}, {3, 9, 39, 1}}) {
    q.clear(), k.clear(), v.clear();
    add(a, a_from, a_n);
    add(b, b_from, b_n);
    const Segment segments[] = {{0, a_n, a_from, cache_a.view}, {a_n, b_n, b_from, cache_b.view}};
    std::vector<float> out(q.size());
    cpu->store_kv(segments, k.data(), v.data(), a.kv_size());
    cpu->attention(segments, shape, q.data(), out.data());
    EXPECT_TRUE(same_bits(out.data(), want_a.data() + static_cast<size_t>(a_from) * row,
                          static_cast<size_t>(a_n) * row));
    EXPECT_TRUE(same_bits(out.data() + static_cast<size_t>(a_n) * row,
                          want_b.data() + static_cast<size_t>(b_from) * row, static_cast<size_t>(b_n) * row));
  }
}

TEST_P(Attention, NoRowsIsNothing) {
  auto cpu = backend(2);
  Cache cache = make_cache(F16, 4, 32);
  const Segment none{0, 0, 3, cache.view};
  cpu->store_kv({&none, 1}, nullptr, nullptr, 32);
  cpu->attention({&none, 1}, {1, 1, 32, 0}, nullptr, nullptr);
  cpu->attention({}, {1, 1, 32, 0}, nullptr, nullptr);
}

}  // namespace
}  // namespace carat::kernels_test
