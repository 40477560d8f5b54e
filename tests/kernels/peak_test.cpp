// The probes of the machine's roofs do the multiply-adds that they say: their sums show each of them.
#include "kernels/arithmetic.h"
#include "support.h"

namespace carat::kernels_test {
namespace {

struct Peak : testing::TestWithParam<const Isa*> {
  void SetUp() override {
    if (!GetParam()->supported()) GTEST_SKIP() << "this machine lacks " << GetParam()->name;
  }
  KernelTable kernels = resolve_kernels(isas(), static_cast<size_t>(GetParam() - isas().data()));
};

TEST_P(Peak, Int8AddsEveryProduct) {
  for (const int64_t n_rounds : {1, 7, 1000}) {
    int64_t n = 0;
    float out = 0;
    kernels.peak_int8(n_rounds, &n, &out);
    // Sum i of so many starts at i in each of 16 lanes; a round adds 8 groups of four products, 3 times 1, 3, 2 and 1.
    const int64_t per_sum = n_rounds * 8 * 64, n_sums = n / per_sum;
    EXPECT_EQ(n, n_sums * per_sum);
    ASSERT_GE(n_sums, 1);
    int64_t expected = 0;
    for (int64_t i = 0; i < n_sums; ++i) expected += 16 * i + per_sum / 4 * 3 * (1 + 3 + 2 + 1);
    EXPECT_EQ(out, static_cast<float>(expected));
  }
}

TEST_P(Peak, FloatsSettleWhereTheirSeriesDoes) {
  std::vector peaks = {kernels.peak_f32};
  if (kernels.products_bf16_pairs == nullptr) peaks.push_back(kernels.peak_bf16);
  for (const auto peak : peaks) {
    int64_t n = 0, n_twice = 0;
    float out = 0;
    peak(1, &n, &out);
    peak(2, &n_twice, &out);
    EXPECT_EQ(n_twice, 2 * n);
    peak(100, &n, &out);
    // All of them are 1/2: of n_sums, the first counts whole and the others half.
    const auto n_sums = static_cast<int64_t>((out - 0.5f) / 0.25f) + 1;
    EXPECT_EQ(out, 0.5f + 0.25f * static_cast<float>(n_sums - 1));
    ASSERT_GE(n_sums, 2);
    const int64_t n_lanes = n / (100 * 8 * n_sums);
    EXPECT_EQ(n, 100 * 8 * n_sums * n_lanes);
    EXPECT_TRUE(n_lanes == 4 || n_lanes == 8 || n_lanes == 16) << n_lanes;
  }
}

TEST_P(Peak, PairsOfBf16AddEveryProduct) {
  if (kernels.products_bf16_pairs == nullptr) GTEST_SKIP() << GetParam()->name << " does not multiply bf16";
  EXPECT_NE(kernels.peak_bf16, kernels.peak_f32);
  for (const int64_t n_rounds : {1, 7, 100}) {
    int64_t n = 0;
    float out = 0;
    kernels.peak_bf16(n_rounds, &n, &out);
    // Sum i of so many starts at i; a round adds 8 times a half for each of two values to sixteen lanes.
    const int64_t per_sum = n_rounds * 8 * 32, n_sums = n / per_sum;
    EXPECT_EQ(n, n_sums * per_sum);
    ASSERT_GE(n_sums, 2);
    EXPECT_EQ(out, static_cast<float>(n_sums * (n_sums - 1) / 2 + n_sums * n_rounds * 8));
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, Peak, testing::ValuesIn(all_isas()), isa_test_name);

TEST(Arithmetic, FollowsTheKernels) {
  EXPECT_EQ(arithmetic_of(TensorType::Q4_0, Precision::fast), Arithmetic::int8);
  EXPECT_EQ(arithmetic_of(TensorType::Q6_K, Precision::fast), Arithmetic::int8);
  EXPECT_EQ(arithmetic_of(TensorType::Q4_0, Precision::exact), Arithmetic::f32);
  EXPECT_EQ(arithmetic_of(TensorType::IQ1_S, Precision::fast), Arithmetic::f32);
  EXPECT_EQ(arithmetic_of(TensorType::BF16, Precision::fast), Arithmetic::bf16);
  EXPECT_EQ(arithmetic_of(TensorType::BF16, Precision::exact), Arithmetic::f32);
  EXPECT_EQ(arithmetic_of(TensorType::F16, Precision::fast), Arithmetic::f32);
}

}  // namespace
}  // namespace carat::kernels_test
