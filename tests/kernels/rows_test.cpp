// Row and element operations against the C library in double.
#include "support.h"

namespace carat::kernels_test {
namespace {

class Rows : public PerIsa {};
CARAT_FOR_EACH_ISA(Rows);

const int64_t kLengths[] = {1, 7, 15, 16, 17, 31, 32, 33, 64, 100, 256, 1537};

double rms_scale(const float* x, int64_t n, double eps) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += double{x[i]} * double{x[i]};
  return 1 / std::sqrt(sum / static_cast<double>(n) + eps);
}

TEST_P(Rows, ExponentialIsAccurateEverywhere) {
  const KernelTable kernels = resolve_kernels(isas(), static_cast<size_t>(GetParam() - isas().data()));
  std::vector<float> x;
  for (float v = -87; v <= 88.5f; v += 0.0137f) x.push_back(v);
  for (float v = 1e-30f; v < 1; v *= 3) x.push_back(v), x.push_back(-v);
  std::vector<float> y = x;
  kernels.exponential(y.data(), static_cast<int64_t>(y.size()));
  for (size_t i = 0; i < x.size(); ++i) {
    const double want = std::exp(double{x[i]});
    EXPECT_NEAR(y[i], want, 2e-6 * want) << x[i];
  }
  std::vector<float> ends = {-100.0f, -200.0f, -INFINITY, 100.0f, INFINITY, NAN, 0.0f, -0.0f, -95.0f};
  kernels.exponential(ends.data(), static_cast<int64_t>(ends.size()));
  EXPECT_NEAR(ends[0], std::exp(-100.0), 1.5e-45);  // subnormal
  EXPECT_EQ(ends[1], 0);
  EXPECT_EQ(ends[2], 0);
  EXPECT_EQ(ends[3], INFINITY);
  EXPECT_EQ(ends[4], INFINITY);
  EXPECT_TRUE(std::isnan(ends[5]));
  EXPECT_EQ(ends[6], 1);
  EXPECT_EQ(ends[7], 1);
  EXPECT_NEAR(ends[8], std::exp(-95.0), 1.5e-45);
}

TEST_P(Rows, SoftCapIsAnAccurateTanh) {
  auto cpu = backend();
  std::vector<float> x;
  for (float v = 1e-20f; v < 1e4f; v *= 1.0173f) x.push_back(v), x.push_back(-v);
  for (const float cap : {1.0f, 30.0f}) {
    std::vector<float> y = x;
    cpu->soft_cap(y.data(), static_cast<int64_t>(y.size()), cap);
    for (size_t i = 0; i < x.size(); ++i) {
      const double want = cap * std::tanh(double{x[i]} / cap);
      EXPECT_NEAR(y[i], want, 2e-6 * std::fabs(want)) << x[i];
    }
  }
  std::vector<float> y = {INFINITY, -INFINITY, NAN, 0.0f, -5.0f};
  std::vector<float> untouched = y;
  cpu->soft_cap(untouched.data(), 5, 0);
  EXPECT_EQ(untouched[4], -5.0f);
  cpu->soft_cap(y.data(), 5, 30);
  EXPECT_EQ(y[0], 30);
  EXPECT_EQ(y[1], -30);
  EXPECT_TRUE(std::isnan(y[2]));
  EXPECT_EQ(y[3], 0);
}

TEST_P(Rows, GegluIsAccurateInBothTails) {
  auto cpu = backend();
  std::vector<float> gate, up;
  for (float v = -9; v < 9; v += 0.0137f) gate.push_back(v), up.push_back(1.25f - v);
  const int64_t n = static_cast<int64_t>(gate.size());
  std::vector<float> out(gate.size());
  cpu->geglu(gate.data(), up.data(), n, 1, n, out.data());
  for (size_t i = 0; i < gate.size(); ++i) {
    const double g = gate[i], u = std::sqrt(2 / M_PI) * (g + 0.044715 * g * g * g);
    const double gelu = g / (1 + std::exp(-2 * u));  // = g/2 (1 + tanh u) without its cancellation
    // exp's error, and the argument's: |2u| half ulps of relative error in exp(-2u).
    const double bound = (2e-6 + 4 * kEpsilon * std::fabs(u)) * std::fabs(gelu * up[i]);
    EXPECT_NEAR(out[i], gelu * up[i], bound + 1e-38) << g;
  }
  std::vector<float> far = {-100.0f, 100.0f}, one = {1.0f, 1.0f};
  cpu->geglu(far.data(), one.data(), 2, 1, 2, far.data());
  EXPECT_EQ(far[0], 0);
  EXPECT_EQ(far[1], 100);
}

TEST_P(Rows, GegluReadsStridedRowsAndMayOverwriteItsGate) {
  auto cpu = backend();
  const int64_t n_rows = 3, n = 37, stride = 50;
  const std::vector<float> gate = gaussian(n_rows * n, 1), up = gaussian(n_rows * stride, 2);
  std::vector<float> out(gate.size()), in_place = gate;
  cpu->geglu(gate.data(), up.data(), stride, n_rows, n, out.data());
  cpu->geglu(in_place.data(), up.data(), stride, n_rows, n, in_place.data());
  EXPECT_TRUE(same_bits(out, in_place));
  for (int64_t r = 0; r < n_rows; ++r) {
    std::vector<float> alone(n);
    cpu->geglu(gate.data() + r * n, up.data() + r * stride, n, 1, n, alone.data());
    EXPECT_TRUE(same_bits(alone.data(), out.data() + r * n, n));
  }
}

TEST_P(Rows, RmsNormOverAllTails) {
  auto cpu = backend();
  for (const int64_t n : kLengths) {
    const size_t size = static_cast<size_t>(n);
    const std::vector<float> x = gaussian(3 * size, 10 + size, 3), weight = gaussian(size, 11 + size);
    std::vector<float> out(3 * size), plain(3 * size), sum = gaussian(3 * size, 5);
    const std::vector<float> before = sum;
    cpu->rms_norm(x.data(), weight.data(), 3, n, 1e-6f, out.data());
    cpu->rms_norm(x.data(), nullptr, 3, n, 1e-6f, plain.data());
    cpu->add_rms_norm(x.data(), weight.data(), 3, n, 1e-6f, sum.data());
    for (size_t i = 0; i < 3 * size; ++i) {
      const double normed = x[i] * rms_scale(x.data() + i / size * size, n, 1e-6);
      const double bound = (static_cast<double>(n) / 16 + 16) * kEpsilon * std::fabs(normed);
      EXPECT_NEAR(plain[i], normed, bound);
      EXPECT_NEAR(out[i], normed * weight[i % size], bound * std::fabs(weight[i % size]));
      EXPECT_NEAR(sum[i], before[i] + normed * weight[i % size],
                  bound * std::fabs(weight[i % size]) + kEpsilon * std::fabs(sum[i]));
    }
    std::vector<float> in_place = x;
    cpu->rms_norm(in_place.data(), weight.data(), 3, n, 1e-6f, in_place.data());
    EXPECT_TRUE(same_bits(in_place, out));
  }
}

TEST_P(Rows, AddScale) {
  auto cpu = backend(3);
  for (const int64_t n : {int64_t{1}, int64_t{17}, int64_t{4096 * 9 + 5}}) {
    const std::vector<float> x = gaussian(static_cast<size_t>(n), 1), y = gaussian(static_cast<size_t>(n), 2);
    std::vector<float> both = x, only = x;
    cpu->add_scale(both.data(), y.data(), n, 0.3f);
    cpu->add_scale(only.data(), nullptr, n, 0.3f);
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_EQ(both[i], (x[i] + y[i]) * 0.3f);
      ASSERT_EQ(only[i], x[i] * 0.3f);
    }
  }
}

TEST_P(Rows, NormRopeTurnsPairsAfterTheNorm) {
  auto cpu = backend();
  for (const int64_t head_dim : {int64_t{2}, int64_t{16}, int64_t{42}, int64_t{256}}) {
    const int64_t n_rows = 4, n_heads = 3, half = head_dim / 2;
    const size_t size = static_cast<size_t>(n_rows * n_heads * head_dim);
    const std::vector<float> x = gaussian(size, 7), weight = gaussian(static_cast<size_t>(head_dim), 8);
    std::vector<float> frequency(static_cast<size_t>(half));
    for (int64_t i = 0; i < half; ++i)
      frequency[static_cast<size_t>(i)] = i % 3 == 2 ? 0 : static_cast<float>(std::pow(1e4, -1.0 * i / half));
    const int32_t positions[] = {0, 5, 131071, 6};
    std::vector<float> out = x;
    const Rope rope{frequency};
    cpu->norm_rope(out.data(), n_rows, n_heads, head_dim, weight.data(), 1e-6f, &rope, positions);
    for (int64_t head = 0; head < n_rows * n_heads; ++head) {
      const float* from = x.data() + head * head_dim;
      const double scale = rms_scale(from, head_dim, 1e-6);
      for (int64_t i = 0; i < half; ++i) {
        const double a = from[i] * scale * weight[static_cast<size_t>(i)];
        const double b = from[i + half] * scale * weight[static_cast<size_t>(i + half)];
        const double angle = double{frequency[static_cast<size_t>(i)]} * positions[head / n_heads];
        const double bound =
            (static_cast<double>(head_dim) / 16 + 20) * kEpsilon * (std::fabs(a) + std::fabs(b));
        const float* to = out.data() + head * head_dim;
        EXPECT_NEAR(to[i], a * std::cos(angle) - b * std::sin(angle), bound);
        EXPECT_NEAR(to[i + half], b * std::cos(angle) + a * std::sin(angle), bound);
      }
    }
    // Without rope, and rows alone.
    std::vector<float> plain = x, want = x;
    cpu->norm_rope(plain.data(), n_rows, n_heads, head_dim, nullptr, 1e-6f, nullptr, nullptr);
    cpu->rms_norm(x.data(), nullptr, n_rows * n_heads, head_dim, 1e-6f, want.data());
    EXPECT_TRUE(same_bits(plain, want));
    for (int64_t r = 0; r < n_rows; ++r) {
      const size_t row = static_cast<size_t>(n_heads * head_dim);
      std::vector<float> alone(x.begin() + r * n_heads * head_dim, x.begin() + (r + 1) * n_heads * head_dim);
      cpu->norm_rope(alone.data(), 1, n_heads, head_dim, weight.data(), 1e-6f, &rope, positions + r);
      EXPECT_TRUE(same_bits(alone.data(), out.data() + static_cast<size_t>(r) * row, row));
    }
  }
}

TEST_P(Rows, RopeTablesAreNotConfused) {
  auto cpu = backend();
  const std::vector<float> x = gaussian(8, 1);
  // More (frequencies, positions) pairs than tables, twice, in place of the same arrays.
  std::vector<std::vector<float>> first;
  for (int pass = 0; pass < 2; ++pass)
    for (int32_t i = 0; i < 6; ++i) {
      std::vector<float> frequency = {1.0f + static_cast<float>(i % 2), 0.5f, 0.25f, 0.125f}, y = x;
      const int32_t position = i / 2;
      const Rope rope{frequency};
      cpu->norm_rope(y.data(), 1, 1, 8, nullptr, 1e-6f, &rope, &position);
      if (pass == 0)
        first.push_back(y);
      else
        EXPECT_TRUE(same_bits(first[static_cast<size_t>(i)], y));
    }
  EXPECT_FALSE(same_bits(first[2], first[3]));
  EXPECT_FALSE(same_bits(first[2], first[4]));
}

TEST_P(Rows, EmbedDecodesAndScales) {
  auto cpu = backend();
  for (const Codec& codec : codecs()) {
    const Weight table = make_weight(codec.type, 256, 11, 3);
    const std::vector<int32_t> tokens = {10, 0, 3, 3};
    std::vector<float> out(4 * 256);
    cpu->embed(table.tensor, tokens, 16, out.data());
    for (size_t t = 0; t < tokens.size(); ++t)
      for (size_t i = 0; i < 256; ++i) EXPECT_EQ(out[t * 256 + i], table.row(tokens[t])[i] * 16);
  }
}

TEST_P(Rows, CopyRows) {
  auto cpu = backend(2);
  const std::vector<float> x = gaussian(5 * 13, 4);
  const std::vector<int64_t> rows = {4, 0, 4};
  std::vector<float> out(3 * 13);
  cpu->copy_rows(x.data(), rows, 13, out.data());
  for (size_t r = 0; r < 3; ++r) EXPECT_TRUE(same_bits(out.data() + r * 13, x.data() + rows[r] * 13, 13));
}

TEST_P(Rows, AllocatesZeroedAlignedMemory) {
  auto cpu = backend();
  auto buffer = cpu->allocate(1000);
  EXPECT_EQ(buffer->size(), 1000u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->data()) % 64, 0u);
  for (size_t i = 0; i < 1000; ++i) EXPECT_EQ(static_cast<char*>(buffer->data())[i], 0);
}

TEST_P(Rows, HalfConversionsRoundToNearestEven) {
  const KernelTable kernels = resolve_kernels(isas(), static_cast<size_t>(GetParam() - isas().data()));
  std::vector<float> x = {0.0f,          -0.0f,          1.0f,           65504.0f,       65519.9f, 65520.0f,
                          -1e9f,         INFINITY,       1e-8f,          2.98e-8f,       2.99e-8f, 6.1e-5f,
                          5.9604645e-8f, -8.9406967e-8f, 1.00048828125f, 1.00146484375f, 3.4e38f,  1e-40f};
  Random random(5);
  for (int i = 0; i < 20000; ++i) {
    const float value = std::bit_cast<float>(static_cast<uint32_t>(random.bits()));
    if (!std::isnan(value)) x.push_back(value);
    x.push_back(static_cast<float>(random.normal() * std::exp2(static_cast<double>(random.below(44)) - 28)));
  }
  std::vector<uint16_t> f16(x.size()), bf16(x.size());
  kernels.to_f16(x.data(), static_cast<int64_t>(x.size()), f16.data());
  kernels.to_bf16(x.data(), static_cast<int64_t>(x.size()), bf16.data());
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_EQ(f16[i], f32_to_f16(x[i])) << x[i];
    ASSERT_EQ(bf16[i], f32_to_bf16(x[i])) << x[i];
  }
  const float nan = NAN;
  kernels.to_f16(&nan, 1, f16.data());
  kernels.to_bf16(&nan, 1, bf16.data());
  EXPECT_TRUE(std::isnan(f16_to_f32(f16[0])) && std::isnan(bf16_to_f32(bf16[0])));
}

// AVX2 keeps sixteen lanes in two registers so that both spell the same sums.
TEST(RowsAcrossIsas, Avx2AndAvx512GiveTheSameBits) {
  std::vector<CpuBackend*> all;
  std::vector<std::unique_ptr<CpuBackend>> owned;
  for (const Isa* isa : supported_isas())
    if (isa->name != "scalar") owned.push_back(std::make_unique<CpuBackend>(*isa, CpuOptions{}));
  if (owned.size() < 2) GTEST_SKIP() << "one vector ISA on this machine";
  const std::vector<float> x = gaussian(3 * 777, 3), w = gaussian(777, 4);
  std::vector<float> first, out(x.size());
  for (auto& cpu : owned) {
    cpu->rms_norm(x.data(), w.data(), 3, 777, 1e-6f, out.data());
    cpu->geglu(out.data(), x.data(), 777, 3, 777, out.data());
    cpu->soft_cap(out.data(), 3 * 777, 2);
    if (first.empty()) first = out;
    EXPECT_TRUE(same_bits(first, out)) << cpu->name();
  }
}

}  // namespace
}  // namespace carat::kernels_test
