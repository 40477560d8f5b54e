// Q4_0 from weights on a lattice: whatever rule chose the scales in training, every code comes back.
#include "quant/lattice_encoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/random.h"
#include "quant/codec.h"
#include "tensor/float_formats.h"

namespace carat {
namespace {

using enum TensorType;

float bf16(double x) { return bf16_to_f32(f32_to_bf16(static_cast<float>(x))); }
float f16(double x) { return f16_to_f32(f32_to_f16(static_cast<float>(x))); }

// The scale that training took for 32 weights.
using Rule = double (*)(const float* x);

double largest(const float* x) {
  double m = 0;
  for (int i = 0; i < 32; ++i) m = std::max(m, std::fabs(static_cast<double>(x[i])));
  return m;
}
double signed_largest(const float* x) {
  double m = 0;
  for (int i = 0; i < 32; ++i)
    if (std::fabs(x[i]) > std::fabs(m)) m = x[i];
  return m;
}
int code_of(float x, double scale) {
  return static_cast<int>(std::clamp(std::nearbyint(x / scale), -8.0, 7.0));
}
double clipped(const float* x) {
  double best = 0, least = HUGE_VAL;
  for (double share = 0.5; share <= 1.0; share += 0.01) {
    const double scale = share * largest(x) / 7;
    double error = 0;
    for (int i = 0; i < 32; ++i) error += std::pow(x[i] - scale * code_of(x[i], scale), 2);
    if (error < least) least = error, best = scale;
  }
  return best;
}

struct Trained {
  const char* name;
  Rule scale;
};
const Trained kRules[] = {{"extremum at -8", [](const float* x) { return signed_largest(x) / -8; }},
                          {"absmax/7", [](const float* x) { return largest(x) / 7; }},
                          {"absmax/8", [](const float* x) { return largest(x) / 8; }},
                          {"MSE-clipped", clipped}};

// A lattice with a common divisor has no one set of codes.
bool is_coarsest(const int* codes) {
  int divisor = 0;
  for (int i = 0; i < 32; ++i) divisor = std::gcd(divisor, codes[i]);
  return divisor == 1;
}

struct StoredIn {
  TensorType type;
  float (*round)(double);
};
const StoredIn kStorage[] = {{BF16, bf16}, {F16, f16}, {F32, [](double x) { return static_cast<float>(x); }}};

std::vector<int> codes_of(const std::vector<std::byte>& blocks) {
  std::vector<int> codes;
  for (size_t at = 0; at < blocks.size(); at += 18)
    for (int i = 0; i < 32; ++i) {
      const int pair = static_cast<int>(blocks[at + 2 + static_cast<size_t>(i % 16)]);
      codes.push_back((i < 16 ? pair & 15 : pair >> 4) - 8);
    }
  return codes;
}

TEST(LatticeEncoder, EveryRulesCodesComeBack) {
  Random random(11);
  for (const StoredIn& storage : kStorage)
    for (const Trained& rule : kRules) {
      SCOPED_TRACE(std::string(rule.name) + " in " + std::string(type_name(storage.type)));
      std::vector<float> row;
      std::vector<int> expected;
      while (row.size() < 32 * 400) {
        float x[32];
        for (float& v : x) v = static_cast<float>(0.03 * random.normal());
        const double scale = bf16(rule.scale(x));
        int codes[32];
        for (int i = 0; i < 32; ++i) codes[i] = code_of(x[i], scale);
        if (!is_coarsest(codes)) continue;
        for (const int code : codes) row.push_back(storage.round(scale * code)), expected.push_back(code);
      }
      const auto n = static_cast<int64_t>(row.size());
      std::vector<std::byte> blocks(row_bytes(Q4_0, n));
      const LatticeBlocks counted = encode_q4_0_on_lattice(row.data(), n, storage.type, blocks.data());
      EXPECT_EQ(counted.n_blocks, n / 32);
      EXPECT_EQ(counted.n_on_lattice, n / 32);
      EXPECT_EQ(counted.n_exact, n / 32);
      EXPECT_EQ(codes_of(blocks), expected);
      std::vector<float> decoded(row.size());
      codec_of(Q4_0).decode(blocks.data(), n, decoded.data());
      for (float& v : decoded) v = storage.round(v);
      EXPECT_EQ(decoded, row);
    }
}

// The reference encoder loses what it takes for another lattice: otherwise nothing here would be needed.
TEST(LatticeEncoder, TheReferenceLosesSevenths) {
  std::vector<float> row(32);
  for (int i = 0; i < 32; ++i) row[static_cast<size_t>(i)] = bf16(0.01) * static_cast<float>(i % 15 - 7);
  std::vector<std::byte> reference(18), ours(18);
  codec_of(Q4_0).encode(row.data(), 32, nullptr, reference.data());
  encode_q4_0_on_lattice(row.data(), 32, BF16, ours.data());
  EXPECT_NE(codes_of(reference), codes_of(ours));
}

TEST(LatticeEncoder, OtherBlocksAreNeverWorseThanTheReference) {
  Random random(12);
  double ours_total = 0, reference_total = 0;
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<float> row(32), a(32), b(32);
    for (float& v : row) v = bf16(0.02 * random.normal());
    std::vector<std::byte> blocks(18);
    const LatticeBlocks counted = encode_q4_0_on_lattice(row.data(), 32, BF16, blocks.data());
    ASSERT_EQ(counted.n_on_lattice, 0);
    codec_of(Q4_0).decode(blocks.data(), 32, a.data());
    codec_of(Q4_0).encode(row.data(), 32, nullptr, blocks.data());
    codec_of(Q4_0).decode(blocks.data(), 32, b.data());
    double ours = 0, reference = 0;
    for (size_t i = 0; i < 32; ++i)
      ours += std::pow(a[i] - row[i], 2), reference += std::pow(b[i] - row[i], 2);
    EXPECT_LE(ours, reference * (1 + 1e-3));  // the scale is rounded to F16 after it was chosen
    ours_total += ours, reference_total += reference;
  }
  EXPECT_LT(ours_total, 0.95 * reference_total);
}

TEST(LatticeEncoder, ExtremeBlocks) {
  std::vector<std::byte> blocks(18);
  std::vector<float> row(32), decoded(32);
  EXPECT_EQ(encode_q4_0_on_lattice(row.data(), 32, BF16, blocks.data()).n_exact, 1);  // zeros
  row[3] = bf16(3e5);  // one weight, so on many lattices; as 1 times its scale it does not fit F16
  encode_q4_0_on_lattice(row.data(), 32, BF16, blocks.data());
  codec_of(Q4_0).decode(blocks.data(), 32, decoded.data());
  EXPECT_NEAR(decoded[3], row[3], 0.01 * row[3]);
  row[3] = 1e-30f;  // below F16
  const LatticeBlocks tiny = encode_q4_0_on_lattice(row.data(), 32, F32, blocks.data());
  EXPECT_EQ(tiny.n_exact, 0);
  codec_of(Q4_0).decode(blocks.data(), 32, decoded.data());
  EXPECT_EQ(decoded, std::vector<float>(32));
}

}  // namespace
}  // namespace carat
