// Best rows with a screen, without one, and by sorting whole products: the same rows and the same bits.
#include <limits>
#include <numeric>

#include "support.h"

namespace carat::kernels_test {
namespace {

using enum TensorType;

constexpr float kInf = std::numeric_limits<float>::infinity();

struct Question {
  std::string what;
  const Tensor* weight;
  std::vector<float> x;
  float cap = 30;
  std::vector<int32_t> excluded;
};

// What best_rows() is defined by.
std::vector<ScoredRow> sorted_product(Backend& backend, const Question& q, int64_t n_best) {
  const int64_t n_rows = q.weight->n_rows();
  std::vector<float> scores(static_cast<size_t>(n_rows));
  const Product product{q.weight, scores.data(), n_rows};
  backend.matmul({&product, 1}, q.x.data(), 1);
  backend.soft_cap(scores.data(), n_rows, q.cap);
  for (const int32_t row : q.excluded)
    if (row >= 0 && row < n_rows) scores[static_cast<size_t>(row)] = NAN;
  std::vector<ScoredRow> all;
  for (int32_t row = 0; row < n_rows; ++row)
    if (scores[static_cast<size_t>(row)] > -kInf) all.push_back({row, scores[static_cast<size_t>(row)]});
  std::sort(all.begin(), all.end(), [](const ScoredRow& a, const ScoredRow& b) {
    return a.score != b.score ? a.score > b.score : a.row < b.row;
  });
  all.resize(std::min(all.size(), static_cast<size_t>(n_best)));
  return all;
}

bool same(const std::vector<ScoredRow>& a, const std::vector<ScoredRow>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const ScoredRow& x, const ScoredRow& y) {
    return x.row == y.row && std::bit_cast<uint32_t>(x.score) == std::bit_cast<uint32_t>(y.score);
  });
}

// Asks for several n with and without the screen; the number of rows scored in full with it for the first n.
int64_t expect_best_rows(CpuBackend& backend, const Question& q, const std::vector<int64_t>& counts) {
  const auto screen = backend.make_screen(*q.weight);
  EXPECT_NE(screen, nullptr) << q.what;
  int64_t first = -1;
  for (const int64_t n_best : counts) {
    const auto want = sorted_product(backend, q, n_best);
    std::vector<ScoredRow> plain, screened;
    const BestRows request{q.weight, nullptr, q.cap, q.excluded, n_best};
    EXPECT_EQ(backend.best_rows(request, q.x.data(), plain), q.weight->n_rows());
    BestRows with = request;
    with.screen = screen.get();
    const int64_t n_read = backend.best_rows(with, q.x.data(), screened);
    EXPECT_TRUE(same(plain, want)) << q.what << ", best " << n_best;
    EXPECT_TRUE(same(screened, want)) << q.what << ", best " << n_best << ", screened";
    if (first < 0) first = n_read;
  }
  return first;
}

// A weight of F32 rows, which hold whatever a test wants.
Weight f32_weight(int64_t k, int64_t n_rows, const std::vector<float>& values) {
  Weight w = make_weight(F32, k, n_rows, 1);
  w.values = values;
  w.tensor.data = reinterpret_cast<const std::byte*>(w.values.data());
  return w;
}

class BestRowsTest : public PerIsa {};
CARAT_FOR_EACH_ISA(BestRowsTest);

TEST_P(BestRowsTest, EqualSortedProductsOnRandomHeads) {
  for (const Precision precision : {Precision::fast, Precision::exact}) {
    auto one = backend(1, precision), two = backend(2, precision);
    for (const TensorType type : {Q6_K, Q8_0, BF16, F16, F32})
      for (const int64_t k : {256, 512})
        for (const int64_t n_rows : {1, 15, 16, 17, 64, 1003}) {
          const Weight w = make_weight(type, k, n_rows, static_cast<uint64_t>(n_rows + k));
          Question q{std::string(type_name(type)), &w.tensor, gaussian(static_cast<size_t>(k), 7), 30, {}};
          expect_best_rows(n_rows % 2 ? *two : *one, q, {1, 2, 17, 64});
        }
  }
}

TEST_P(BestRowsTest, EqualSortedProductsOfLongRows) {
  auto fast = backend();
  for (const TensorType type : {Q6_K, Q8_0, F16}) {
    const Weight w = make_weight(type, 2048 + 512, 403, 5);
    for (uint64_t seed = 0; seed < 4; ++seed)
      expect_best_rows(*fast, {"long rows", &w.tensor, gaussian(2560, seed), 30, {}}, {1, 40, 1, 3});
  }
}

// The bounds leave a small part of a large head, or the screen would be nothing but a detour.
TEST_P(BestRowsTest, AScreenRulesMostRowsOut) {
  auto fast = backend();
  const Weight w = make_weight(Q6_K, 256, 20011, 3);
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const int64_t n_read = expect_best_rows(*fast, {"large", &w.tensor, gaussian(256, seed), 30, {}}, {1, 3});
    EXPECT_LT(n_read, 20011 / 50) << seed;
    EXPECT_GE(n_read, 1);
  }
}

// Candidates are rows of the file, also where all rows have a packed copy.
TEST_P(BestRowsTest, ARepackedHeadMayHaveAScreen) {
  auto fast = backend(2);
  const Weight w = make_weight(Q6_K, 256, 20000, 3);
  const auto packed = fast->repack(w.tensor);
  ASSERT_TRUE(packed);
  Tensor head = w.tensor;
  head.packed = static_cast<const std::byte*>(packed->data());
  EXPECT_LT(expect_best_rows(*fast, {"repacked", &head, gaussian(256, 1), 30, {}}, {1, 3}), 20000 / 50);
}

TEST_P(BestRowsTest, ExcludedRowsDoNotCount) {
  auto fast = backend(2);
  const Weight w = make_weight(Q6_K, 256, 3001, 3);
  Question q{"excluded", &w.tensor, gaussian(256, 1), 30, {-1, 3001, 1 << 30}};
  for (int i = 0; i < 5; ++i) {
    const auto best = sorted_product(*fast, q, 20);
    for (const size_t place : {0, 1, 9}) q.excluded.push_back(best[place].row);
    expect_best_rows(*fast, q, {1, 20, 64});
  }
  q.excluded.resize(3001);
  std::iota(q.excluded.begin(), q.excluded.end(), 0);
  expect_best_rows(*fast, q, {1, 5});
  q.excluded.erase(q.excluded.begin() + 77);
  expect_best_rows(*fast, q, {1, 5});
}

TEST_P(BestRowsTest, TiesGoToTheLowerRow) {
  auto fast = backend();
  const int64_t k = 64, n_rows = 997;
  const std::vector<float> row = gaussian(static_cast<size_t>(k), 2), x = gaussian(static_cast<size_t>(k), 3);
  std::vector<float> values;
  for (int64_t r = 0; r < n_rows; ++r)  // every eleventh row is the same, and their negatives between
    for (int64_t i = 0; i < k; ++i) values.push_back((r % 11 == 4 ? 1.0f : -0.5f) * row[static_cast<size_t>(i)]);
  const Weight some = f32_weight(k, n_rows, values);
  expect_best_rows(*fast, {"groups of equal rows", &some.tensor, x, 30, {4, 15}}, {1, 2, 64, 200});
  for (size_t i = 0; i < values.size(); ++i) values[i] = row[i % row.size()];
  const Weight equal = f32_weight(k, n_rows, values);
  expect_best_rows(*fast, {"equal rows", &equal.tensor, x, 30, {}}, {1, 2, 64, 1000});
  const Weight zeros = f32_weight(k, n_rows, std::vector<float>(values.size(), 0.0f));
  expect_best_rows(*fast, {"zeros", &zeros.tensor, x, 30, {}}, {1, 64});
  expect_best_rows(*fast, {"no input", &some.tensor, std::vector<float>(static_cast<size_t>(k)), 30, {}}, {1, 64});
}

// The soft cap makes equal scores of different products, nearly all of them where it saturates, and of neighbours
// even where it does not: the lower row wins then, not the larger product.
TEST_P(BestRowsTest, TheSoftCapMakesTies) {
  auto fast = backend();
  const int64_t k = 32, n_rows = 2003;
  std::vector<float> values, x(static_cast<size_t>(k), 0.0f);
  x[0] = 1, x[5] = 1;
  for (const float top : {0.5f, 20.0f, 100.0f, 250.0f, 3000.0f}) {
    values.assign(static_cast<size_t>(k * n_rows), 0.0f);
    for (int64_t r = 0; r < n_rows; ++r) {
      float value = top;  // rising by one float a row, from `top` on
      for (int64_t i = 0; i < r % 64; ++i) value = std::nextafter(value, kInf);
      values[static_cast<size_t>(r * k)] = r % 3 == 0 ? value : -value;
    }
    const Weight w = f32_weight(k, n_rows, values);
    for (const float cap : {30.0f, 0.0f, 1.0f})
      expect_best_rows(*fast, {fmt::format("cap {}, top {}", cap, top), &w.tensor, x, cap, {}}, {1, 3, 64});
  }
}

// Rows that rounding treats worst: x lines up with all that the screen leaves out of the best row, which it therefore
// scores far below rows that lose by a hair. A bound a tenth too small loses it.
TEST_P(BestRowsTest, AdversarialRows) {
  for (const Precision precision : {Precision::fast, Precision::exact}) {
    auto made = backend(1, precision);
    const int64_t k = 256, n_rows = 2053;
    const size_t n = static_cast<size_t>(k);
    for (uint64_t seed = 0; seed < 6; ++seed) {
      Random random(seed);
      std::vector<float> values = gaussian(n * static_cast<size_t>(n_rows), seed), x(n);
      for (size_t i = 0; i < n; ++i) x[i] = i % 32 == 0 ? 0.0f : random.below(2) ? 1.0f : -1.0f;
      const auto set_row = [&](int64_t row, float value, float where_x_is_0) {
        for (size_t i = 0; i < n; ++i)
          values[static_cast<size_t>(row) * n + i] = i % 32 == 0 ? where_x_is_0 : value * x[i];
      };
      // Steps of 7.5 / 16 = 0.469: just below two of them is rounded to one and a half.
      set_row(random.below(1000), 0.93f, 7.5f);
      for (const float value : {0.90f, 0.91f, 0.92f, 0.925f}) set_row(1000 + random.below(1000), value, 0);
      if (seed % 2)
        for (float& v : x) v *= 1 + 0.02f * static_cast<float>(random.normal());
      const Weight w = f32_weight(k, n_rows, values);
      const Question q{fmt::format("seed {}", seed), &w.tensor, x, seed % 3 ? 0.0f : 300.0f, {}};
      EXPECT_LT(expect_best_rows(*made, q, {1, 2, 3, 30}), n_rows / 5) << "in full: nothing was tested";
    }
  }
}

// The same for x: in exact precision products are of x itself, the screen's of x in 8 bits. One large value in each
// block rounds all others to 0, and the best row sees only those others.
TEST_P(BestRowsTest, AdversarialInputs) {
  auto exact = backend(1, Precision::exact);
  const int64_t k = 256, n_rows = 1000;
  const size_t n = static_cast<size_t>(k), winner = 321 * n, loser = 77 * n;
  std::vector<float> values = gaussian(n * static_cast<size_t>(n_rows), 1, 0.001), x(n);
  for (size_t i = 0; i < n; ++i) {
    x[i] = i % 32 == 0 ? 127.0f : 0.49f;
    // In steps of 0.01 that the screen holds exactly, but for one value a block.
    values[winner + i] = 0.01f * (i % 32 == 0 ? 0.5f : i % 32 == 1 ? 16.0f : 14.5f);
    values[loser + i] = i % 32 == 0 ? 0.0197f : 0.0f;
  }
  const Weight w = f32_weight(k, n_rows, values);
  const Question q{"rounded away", &w.tensor, x, 0, {}};
  ASSERT_EQ(sorted_product(*exact, q, 1)[0].row, 321);
  EXPECT_LT(expect_best_rows(*exact, q, {1, 2, 5}), n_rows / 5) << "in full: nothing was tested";
}

TEST_P(BestRowsTest, RowsThatAreNotNumbers) {
  auto fast = backend();
  const int64_t k = 64, n_rows = 1500;
  const std::vector<float> clean = gaussian(static_cast<size_t>(k * n_rows), 4);
  const std::vector<float> x = gaussian(static_cast<size_t>(k), 5);
  const float strange[] = {NAN, kInf, -kInf, 1e30f, -1e30f, 3e38f, 1e-42f};
  for (const float value : strange)
    for (const int64_t every : {1, 7, 700}) {
      std::vector<float> values = clean;
      for (int64_t r = 0; r < n_rows; r += every) values[static_cast<size_t>(r * k + r % k)] = value;
      const Weight w = f32_weight(k, n_rows, values);
      for (const float cap : {30.0f, 0.0f})
        expect_best_rows(*fast, {fmt::format("{} in every {}", value, every), &w.tensor, x, cap, {8}}, {1, 9, 64});
      std::vector<float> broken = x;
      broken[3] = value;
      expect_best_rows(*fast, {fmt::format("{} in x", value), &w.tensor, broken, 30, {}}, {1, 9});
    }
}

// Tiny and huge scales change nothing but exponents.
TEST_P(BestRowsTest, AnyScale) {
  auto fast = backend();
  const int64_t k = 128, n_rows = 3000;
  for (const double scale : {1e-30, 1e-14, 1e-6, 1e6, 1e11, 1e20}) {
    const Weight w = f32_weight(k, n_rows, gaussian(static_cast<size_t>(k * n_rows), 8, scale));
    for (const double of_x : {1e-20, 1.0, 1e11})
      expect_best_rows(*fast, {fmt::format("{} {}", scale, of_x), &w.tensor, gaussian(128, 9, of_x), 0, {}}, {1, 64});
  }
}

TEST_P(BestRowsTest, AWeightsScaleCounts) {
  auto fast = backend();
  Weight w = make_weight(Q6_K, 256, 5000, 3);
  const float factor = 37.5f;
  w.tensor.scale = &factor;
  expect_best_rows(*fast, {"scaled", &w.tensor, gaussian(256, 2), 30, {}}, {1, 64});
}

TEST_P(BestRowsTest, OnlyLongTypesAndWholeBlocksHaveScreens) {
  auto fast = backend();
  for (const TensorType type : {Q4_0, Q4_K, Q5_K, Q5_1, Q3_K}) {
    const Weight w = make_weight(type, 256, 40, 1);
    EXPECT_EQ(fast->make_screen(w.tensor), nullptr) << type_name(type);
    EXPECT_EQ(fast->screen_bytes(w.tensor), 0u);
    const Question q{std::string(type_name(type)), &w.tensor, gaussian(256, 2), 30, {}};
    std::vector<ScoredRow> best;
    EXPECT_EQ(fast->best_rows({&w.tensor, nullptr, 30, {}, 7}, q.x.data(), best), 40);
    EXPECT_TRUE(same(best, sorted_product(*fast, q, 7)));
  }
  const Weight odd = make_weight(F32, 40, 20, 1);
  EXPECT_EQ(fast->make_screen(odd.tensor), nullptr);
  const Weight even = make_weight(F32, 64, 20, 1);
  const auto screen = fast->make_screen(even.tensor);
  ASSERT_NE(screen, nullptr);
  EXPECT_EQ(screen->n_bytes(), fast->screen_bytes(even.tensor));
}

// lowest_equal() counts on this error of the soft cap.
TEST_P(BestRowsTest, TheSoftCapErrsByLessThanTheBoundAllows) {
  auto fast = backend();
  std::vector<float> x;
  for (float v = -300; v < 300; v += 0.00371f) x.push_back(v);
  std::vector<float> y = x;
  fast->soft_cap(y.data(), static_cast<int64_t>(y.size()), 30);
  for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(double{y[i]} / 30, std::tanh(double{x[i]} / 30), 4e-6) << x[i];
}

}  // namespace
}  // namespace carat::kernels_test
