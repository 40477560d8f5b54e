// Attention and the KV cache's cells against softmax written plainly in double; windows, rings and pieces of
// a prompt may not show in a bit of the result.
#include "attention_support.h"

namespace carat::kernels_test {
namespace {

class Attention : public PerIsa {};
CARAT_FOR_EACH_ISA(Attention);

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
  for (const int64_t i : {0, 127, 128, 129, 255, 256, 257, 511, 512, 699}) expect_attention(p, k, v, out, i);
}

// Scores far apart: the largest comes first, in the middle or last of several spans.
TEST_P(Attention, SpansOfVeryDifferentWeight) {
  auto cpu = backend(2);
  for (const int64_t peak : {3, 300, 520}) {
    Problem p = make_problem({2, 1, 32, 0}, 530, 7);
    for (int64_t i = 0; i < 32; ++i)
      p.k[static_cast<size_t>(peak * 32 + i)] = 20 * p.q[static_cast<size_t>(529 * 64 + i)];
    const std::vector<float> out = run(*cpu, p, F32, 530, {529, 1});
    for (const int64_t i : {298, 519, 529}) expect_attention(p, p.k, p.v, out, i);
  }
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
  for (const Precision precision : {Precision::fast, Precision::exact}) {
    auto one = backend(1, precision), three = backend(3, precision);
    for (const CacheType type : {CacheType(F16), CacheType(Q8_0), CacheType(Q5_0, Q4_0)})
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
}

// Long enough that single rows are dealt to threads span by span, and a window that begins inside a span.
TEST_P(Attention, SpansGiveTheSameBitsWhoeverComputesThem) {
  for (const int64_t window : {int64_t{0}, int64_t{600}})
    for (const CacheType type : {CacheType(F32), CacheType(Q8_0)}) {
      const Problem p = make_problem({4, 1, 32, window}, 1100, 22);
      auto one = backend(1);
      const std::vector<float> whole = run(*one, p, type, 1100, {1100});
      for (const int n_threads : {1, 2, 5}) {
        auto cpu = backend(n_threads);
        std::vector<int64_t> pieces(1100 - 1000, 1);
        pieces.insert(pieces.begin(), 1000);
        EXPECT_TRUE(same_bits(whole, run(*cpu, p, type, 1100, pieces))) << n_threads;
        EXPECT_TRUE(same_bits(whole, run(*cpu, p, type, 1100, {997, 3, 50, 50}))) << n_threads;
        if (window > 0) {
          EXPECT_TRUE(same_bits(whole, run(*cpu, p, type, 701, std::vector<int64_t>(11, 100)))) << n_threads;
        }
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
