// Projection, and recognizing weights that already lie on a 4-bit lattice.
#include "quant/lattice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/random.h"
#include "quant/codec.h"
#include "tensor/float_formats.h"

namespace carat {
namespace {

using Codes = std::array<int8_t, kLatticeBlock>;

float bf16(double x) { return bf16_to_f32(f32_to_bf16(static_cast<float>(x))); }

std::vector<float> values_of(double scale, const Codes& codes) {
  std::vector<float> values;
  for (const int8_t code : codes) values.push_back(bf16(bf16(scale) * code));
  return values;
}

// Codes no larger than the extreme one, which stands somewhere, and a 1 so that no coarser lattice fits.
Codes random_codes(int extreme, Random& random) {
  Codes codes{};
  const int bound = std::abs(extreme);
  for (int8_t& code : codes) code = static_cast<int8_t>(random.below(2 * bound - 1) - bound + 1);
  codes[7] = 1;
  codes[static_cast<size_t>(random.below(6))] = static_cast<int8_t>(extreme);
  return codes;
}

TEST(Lattice, EveryExtremeCodeIsFound) {
  Random random(1);
  for (int trial = 0; trial < 500; ++trial) {
    const double scale = bf16(std::exp(random.normal() - 5));
    for (int extreme = -8; extreme <= 7; ++extreme) {
      if (std::abs(extreme) < 2) continue;
      const Codes codes = random_codes(extreme, random);
      const std::optional<Lattice> lattice = find_lattice(values_of(scale, codes).data());
      ASSERT_TRUE(lattice);
      EXPECT_EQ(lattice->extreme, extreme);
      EXPECT_EQ(lattice->codes, codes);
      EXPECT_NEAR(lattice->scale, scale, 0.004 * scale);
    }
  }
}

// ggml's rule: the extreme element is -8 and the scale has the sign that this takes.
TEST(Lattice, NegativeScales) {
  Random random(2);
  Codes codes = random_codes(-8, random);
  const std::optional<Lattice> lattice = find_lattice(values_of(-0.01, codes).data());
  ASSERT_TRUE(lattice);
  EXPECT_EQ(lattice->extreme, -8);
  EXPECT_LT(lattice->scale, 0);
  EXPECT_EQ(lattice->codes, codes);
}

TEST(Lattice, TheCoarsestOne) {
  Codes codes{};
  codes[3] = 6;
  codes[9] = -4;
  const std::optional<Lattice> lattice = find_lattice(values_of(0.5, codes).data());
  ASSERT_TRUE(lattice);
  EXPECT_EQ(lattice->extreme, 3);
  EXPECT_EQ(lattice->scale, 1.0f);
}

TEST(Lattice, OneValueBesideItIsEnough) {
  Random random(3);
  for (int trial = 0; trial < 200; ++trial) {
    const Codes codes = random_codes(7, random);
    std::vector<float> values = values_of(0.02, codes);
    const auto i = static_cast<size_t>(8 + random.below(24));
    values[i] = bf16(values[i] + 0.02 * 0.3);
    EXPECT_FALSE(find_lattice(values.data()));
  }
}

TEST(Lattice, StrangeBlocks) {
  std::vector<float> values(kLatticeBlock);
  const std::optional<Lattice> zeros = find_lattice(values.data());
  ASSERT_TRUE(zeros);
  EXPECT_EQ(zeros->extreme, 0);
  for (const float strange :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    values[5] = strange;
    EXPECT_FALSE(find_lattice(values.data()));
  }
  for (const float alone : {1e-45f, -1e-39f, 3e38f}) {
    values[5] = alone;
    ASSERT_TRUE(find_lattice(values.data()));
    EXPECT_EQ(std::abs(find_lattice(values.data())->extreme), 1);
  }
}

TEST(Lattice, ReportCounts) {
  Random random(4);
  constexpr int64_t kColumns = 32 * 5 + 7, kRows = 20;
  std::vector<float> values;
  for (int64_t r = 0; r < kRows; ++r) {
    const Codes by_row[3] = {random_codes(-8, random), random_codes(7, random), random_codes(-5, random)};
    for (const Codes& codes : by_row)
      for (const float v : values_of(0.01, codes)) values.push_back(v);
    values.insert(values.end(), 32, 0.0f);
    for (int i = 0; i < 32 + 7; ++i) values.push_back(bf16(random.normal()));
  }
  LatticeReport report = lattice_share(values.data(), kColumns, kRows);
  EXPECT_EQ(report.n_blocks, 5 * kRows);
  EXPECT_EQ(report.n_on_lattice, 4 * kRows);
  EXPECT_DOUBLE_EQ(report.share(), 0.8);
  EXPECT_EQ(report.n_with_extreme[0], kRows);
  EXPECT_EQ(report.n_with_extreme[7 + 8], kRows);
  EXPECT_EQ(report.n_with_extreme[-5 + 8], kRows);
  EXPECT_EQ(report.n_with_extreme[8], kRows);
  EXPECT_EQ(report.n_kept_by_reference, 2 * kRows);
  report += report;
  EXPECT_EQ(report.n_blocks, 10 * kRows);
  EXPECT_EQ(report.n_with_extreme[0], 2 * kRows);
}

TEST(Lattice, GaussianWeightsAreOnNone) {
  Random random(5);
  std::vector<float> values(32 * 20000);
  for (float& v : values) v = bf16(0.02 * random.normal());
  EXPECT_EQ(lattice_share(values.data(), 32, 20000).n_on_lattice, 0);
}

// What "kept by the reference" promises: the encoder's codes are the lattice's, and its values are as near as
// BF16.
TEST(Lattice, ReferenceKeepsWhatTheReportSays) {
  Random random(6);
  for (const int extreme : {-8, 7, 5}) {
    std::vector<float> values;
    for (int b = 0; b < 200; ++b)
      for (const float v : values_of(0.01, random_codes(extreme, random))) values.push_back(v);
    const auto n = static_cast<int64_t>(values.size());
    std::vector<float> projected = values;
    ThreadPool pool(1);
    project(TensorType::Q4_0, projected.data(), n, 1, pool);
    double worst = 0;
    for (size_t i = 0; i < values.size(); ++i)
      worst = std::max(worst, std::abs(static_cast<double>(projected[i]) - values[i]));
    const LatticeReport report = lattice_share(values.data(), n, 1);
    EXPECT_EQ(report.n_on_lattice, 200);
    EXPECT_EQ(report.n_kept_by_reference, extreme == -8 ? 200 : 0);
    if (extreme == -8) {
      EXPECT_LT(worst, 0.01 * 8 * 0x1p-7);
    } else {
      EXPECT_GT(worst, 0.01 * 0.2);
    }
  }
}

float f16(double x) { return f16_to_f32(f32_to_f16(static_cast<float>(x))); }

// What 16- and 32-bit files hold: the lattice's values as they are, or after BF16 has rounded them.
TEST(Lattice, EveryStorageTypeIsSeenThrough) {
  Random random(9);
  for (int trial = 0; trial < 300; ++trial) {
    const double scale = f16(std::exp(random.normal() - 4));
    const Codes codes = random_codes(trial % 2 == 0 ? -8 : 7, random);
    std::vector<float> exact, in_f16, bf16_in_f16;
    for (const int8_t code : codes) {
      exact.push_back(static_cast<float>(scale * code));
      in_f16.push_back(f16(scale * code));
      bf16_in_f16.push_back(f16(bf16(scale * code)));
    }
    for (const auto& [values, stored] :
         {std::pair(exact, TensorType::F32), std::pair(in_f16, TensorType::F16),
          std::pair(bf16_in_f16, TensorType::F16)}) {
      const std::optional<Lattice> lattice = find_lattice(values.data(), stored);
      ASSERT_TRUE(lattice) << type_name(stored) << " " << trial;
      EXPECT_EQ(lattice->codes, codes);
      EXPECT_LE(lattice->lowest_scale, scale);
      EXPECT_GE(lattice->highest_scale, scale);
    }
    // F16's rounding is larger than F32's, so that these are no exact lattice.
    if (in_f16 != exact) {
      EXPECT_FALSE(find_lattice(in_f16.data(), TensorType::F32));
    }
  }
}

// Down to the numbers at which F16 has only a few bits left.
TEST(Lattice, SubnormalsOfF16) {
  Random random(10);
  for (int trial = 0; trial < 300; ++trial) {
    const double scale = std::exp(-9 - 4 * random.uniform());
    const Codes codes = random_codes(-8, random);
    std::vector<float> values;
    for (const int8_t code : codes) values.push_back(f16(bf16(scale * code)));
    ASSERT_TRUE(find_lattice(values.data(), TensorType::F16)) << scale;
  }
}

TEST(Lattice, GaussianWeightsInF16AndF32AreOnNone) {
  Random random(11);
  std::vector<float> values(32 * 5000), halves(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(0.02 * random.normal());
    halves[i] = f16(values[i]);
  }
  EXPECT_EQ(lattice_share(values.data(), 32, 5000, TensorType::F32).n_on_lattice, 0);
  EXPECT_EQ(lattice_share(halves.data(), 32, 5000, TensorType::F16).n_on_lattice, 0);
}

// BF16 scales show in numbers: an arbitrary scale's interval holds one by chance in two blocks of three.
TEST(Lattice, Bf16ScalesAreTold) {
  Random random(12);
  std::vector<float> trained, arbitrary;
  constexpr int64_t kBlocks = 2000;
  for (int64_t b = 0; b < kBlocks; ++b) {
    const double scale = std::exp(random.normal() - 5);
    for (const float v : values_of(scale, random_codes(7, random))) trained.push_back(v);
    for (const int8_t code : random_codes(7, random)) arbitrary.push_back(bf16(scale * code));
  }
  const LatticeReport from_training = lattice_share(trained.data(), 32, kBlocks);
  const LatticeReport from_elsewhere = lattice_share(arbitrary.data(), 32, kBlocks);
  EXPECT_EQ(from_training.n_on_lattice, kBlocks);
  EXPECT_EQ(from_training.n_with_bf16_scale, kBlocks);
  EXPECT_EQ(from_training.n_with_f16_scale, kBlocks);  // these BF16 numbers are F16 numbers, too
  EXPECT_EQ(from_elsewhere.n_on_lattice, kBlocks);
  EXPECT_LT(from_elsewhere.n_with_bf16_scale, kBlocks * 8 / 10);
  EXPECT_GT(from_elsewhere.n_with_f16_scale, from_elsewhere.n_with_bf16_scale);
}

TEST(Project, IsDecodeOfEncode) {
  constexpr int64_t kColumns = 512, kRows = 7;
  Random random(7);
  std::vector<float> values(kColumns * kRows);
  for (float& v : values) v = static_cast<float>(0.02 * random.normal());
  for (const Codec& codec : codecs()) {
    if (codec.encode == nullptr) continue;
    std::vector<std::byte> blocks(row_bytes(codec.type, kColumns) * kRows);
    std::vector<float> expected(values.size()), projected = values;
    ThreadPool one(1), three(3);
    encode_tensor(codec.type, values.data(), kColumns, kRows, nullptr, blocks.data(), one);
    decode_tensor({"w", codec.type, {kColumns, kRows, 1, 1}, blocks.data()}, expected.data(), one);
    project(codec.type, projected.data(), kColumns, kRows, three);
    EXPECT_EQ(std::memcmp(projected.data(), expected.data(), expected.size() * sizeof(float)), 0);
  }
}

// Q4_0 weights can be projected again and again: training on the lattice does not drift by itself.
TEST(Project, Q4_0Twice) {
  Random random(8);
  std::vector<float> values(4096);
  for (float& v : values) v = static_cast<float>(0.02 * random.normal());
  ThreadPool pool(1);
  project(TensorType::Q4_0, values.data(), 1024, 4, pool);
  std::vector<float> again = values;
  project(TensorType::Q4_0, again.data(), 1024, 4, pool);
  EXPECT_EQ(again, values);
  EXPECT_EQ(lattice_share(values.data(), 1024, 4).n_kept_by_reference, 128);
}

}  // namespace
}  // namespace carat
