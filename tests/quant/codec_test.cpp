// Properties that every codec must have: nothing undefined on random bytes; and every encoder: errors as small as the
// format allows, nothing undefined on strange blocks, rows that stand alone.
#include "quant/codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "tensor/float_formats.h"

namespace carat {
namespace {

std::vector<std::byte> encode(TensorType type, const std::vector<float>& row,
                              const float* importance = nullptr) {
  const auto n = static_cast<int64_t>(row.size());
  std::vector<std::byte> blocks(row_bytes(type, n));
  codec_of(type).encode(row.data(), n, importance, blocks.data());
  return blocks;
}

std::vector<float> decode(TensorType type, const std::vector<std::byte>& blocks) {
  const TypeInfo& info = type_info(type);
  std::vector<float> row(blocks.size() / info.block_bytes * info.block_length);
  codec_of(type).decode(blocks.data(), static_cast<int64_t>(row.size()), row.data());
  return row;
}

std::vector<float> gaussian(size_t n, double sigma, uint64_t seed) {
  Random random(seed);
  std::vector<float> row(n);
  for (float& x : row) x = static_cast<float>(sigma * random.normal());
  return row;
}

class EveryCodec : public ::testing::TestWithParam<TensorType> {
 protected:
  TensorType type() const { return GetParam(); }
};
class EveryEncoder : public EveryCodec {};
class EveryScaleSetter : public EveryCodec {};  // of formats without an encoder

// Relative root mean square error in percent, N(0, 0.02^2): without importance, and with all weights one.
struct ExpectedError {
  TensorType type;
  double plain, weighted;
};
constexpr ExpectedError kErrors[] = {
    {TensorType::F32, 0, 0},          {TensorType::F16, 0.021, 0.021},   {TensorType::BF16, 0.166, 0.166},
    {TensorType::Q8_0, 0.53, 0.53},   {TensorType::Q4_0, 8.57, 8.14},    {TensorType::Q4_1, 7.81, 6.98},
    {TensorType::Q5_0, 4.27, 4.04},   {TensorType::Q5_1, 3.79, 3.38},    {TensorType::Q2_K, 29.53, 26.75},
    {TensorType::Q3_K, 15.07, 14.44}, {TensorType::Q4_K, 7.12, 7.07},    {TensorType::Q5_K, 3.61, 3.54},
    {TensorType::Q6_K, 1.78, 1.73},   {TensorType::NVFP4, 10.29, 10.29}, {TensorType::IQ4_NL, 7.61, 7.49},
    {TensorType::IQ4_XS, 7.67, 7.55}, {TensorType::MXFP4, 11.38, 11.38}, {TensorType::TQ1_0, 80.83, 80.83},
    {TensorType::TQ2_0, 80.83, 80.83},  {TensorType::Q1_0, 60.02, 60.02},  {TensorType::Q2_0, 71.96, 71.96},
};

// How far a value may be off, as a share of its block's largest magnitude: a step of a 2-bit code is a third of the
// block's range, half a step of a ternary one half the magnitude; a sign knows nothing of its value.
double worst_share(TensorType type) {
  switch (type) {
    case TensorType::TQ1_0:
    case TensorType::TQ2_0:
    case TensorType::Q2_0:
      return 0.501;
    case TensorType::Q1_0:
      return 1;
    default:
      return 0.34;
  }
}

float largest_of(const float* x, size_t n) {
  float largest = 0;
  for (size_t i = 0; i < n; ++i) largest = std::max(largest, std::abs(x[i]));
  return largest;
}

double error_percent(TensorType type, const float* importance) {
  constexpr int64_t kColumns = 1024, kRows = 64;
  double error = 0, power = 0;
  for (int64_t r = 0; r < kRows; ++r) {
    const std::vector<float> x = gaussian(kColumns, 0.02, static_cast<uint64_t>(r));
    const std::vector<float> y = decode(type, encode(type, x, importance));
    for (size_t i = 0; i < x.size(); ++i) {
      error += (static_cast<double>(y[i]) - x[i]) * (static_cast<double>(y[i]) - x[i]);
      power += static_cast<double>(x[i]) * x[i];
    }
  }
  return 100 * std::sqrt(error / power);
}

TEST_P(EveryEncoder, ErrorIsTheReferenceEncoders) {
  const std::vector<float> ones(1024, 1.0f);
  for (const ExpectedError& expected : kErrors) {
    if (expected.type != type()) continue;
    EXPECT_NEAR(error_percent(type(), nullptr), expected.plain, 0.02 * expected.plain);
    EXPECT_NEAR(error_percent(type(), ones.data()), expected.weighted, 0.02 * expected.weighted);
    return;
  }
  FAIL() << "no expected error for this format";
}

TEST_P(EveryEncoder, ZerosStayZeros) {
  const std::vector<float> importance(512, 1.0f);
  for (const float zero : {0.0f, -0.0f})
    for (const float* weights : {static_cast<const float*>(nullptr), importance.data()})
      for (const float y : decode(type(), encode(type(), std::vector<float>(512, zero), weights)))
        EXPECT_EQ(y, 0);
}

// Blocks of one value, of one sign, with one outlier.
TEST_P(EveryEncoder, StrangeBlocks) {
  std::vector<std::vector<float>> rows;
  rows.emplace_back(512, 0.7f);
  rows.emplace_back(512, -0.7f);
  rows.push_back(gaussian(512, 0.02, 1));
  for (float& x : rows.back()) x = std::abs(x);
  rows.push_back(gaussian(512, 0.02, 2));
  for (float& x : rows.back()) x = -0.5f - std::abs(x);
  rows.push_back(gaussian(512, 0.02, 3));
  rows.back()[100] = 5;
  rows.push_back(gaussian(512, 0.02, 4));
  rows.back()[300] = -5;
  const std::vector<float> importance(512, 0.01f);
  for (const std::vector<float>& x : rows) {
    const double tolerance = worst_share(type()) * largest_of(x.data(), x.size());
    for (const float* weights : {static_cast<const float*>(nullptr), importance.data()}) {
      const std::vector<float> y = decode(type(), encode(type(), x, weights));
      for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(y[i], x[i], tolerance);
    }
  }
}

// From the largest floats down to subnormals, and what is not a number: any result will do, undefined
// behaviour will not (the sanitizers watch). Sane neighbours in other blocks must not suffer.
TEST_P(EveryEncoder, NothingIsUndefined) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity(),
                  kNan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> importance(512, 1.0f), zeros(512, 0.0f), huge(512, 1e38f);
  for (const float scale : {1e-45f, 1e-40f, 3e-39f, 1e-30f, 1e-20f, 1e-10f, 1e20f, 3e37f, kInfinity, kNan}) {
    std::vector<float> x = gaussian(512, 1, 5);
    for (size_t i = 0; i < 256; ++i) x[i] *= scale;
    for (const float* weights :
         {static_cast<const float*>(nullptr), importance.data(), zeros.data(), huge.data()})
      decode(type(), encode(type(), x, weights));
    for (size_t i = 8; i < 256; ++i) x[i] = 0;  // a few strange elements among zeros
    decode(type(), encode(type(), x));
    decode(type(), encode(type(), x, importance.data()));
    const std::vector<float> y = decode(type(), encode(type(), x));
    const double tolerance = worst_share(type()) * largest_of(x.data() + 256, 256);
    for (size_t i = 256; i < 512; ++i) EXPECT_NEAR(y[i], x[i], tolerance) << scale;
  }
  const std::vector<float> strange_weights = {kInfinity, kNan, -1.0f, 0.0f};
  std::vector<float> weights(512);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = strange_weights[i % 4];
  decode(type(), encode(type(), gaussian(512, 1, 6), weights.data()));
}

TEST_P(EveryCodec, RandomBytesDecode) {
  Random random(7);
  const uint32_t block_bytes = type_info(type()).block_bytes;
  for (int i = 0; i < 2000; ++i) {
    // At an odd address, and exactly as long as the block: the sanitizer sees a read beyond either end.
    std::vector<std::byte> block(block_bytes + 1);
    for (std::byte& b : block) b = static_cast<std::byte>(random.bits());
    std::vector<float> out(type_info(type()).block_length);
    codec_of(type()).decode(block.data() + 1, static_cast<int64_t>(out.size()), out.data());
    // What decodes although no encoder writes it: NVFP4's scale 480 (0xff), two-bit codes that stand for twice the
    // scale.
    const bool doubles = type() == TensorType::TQ2_0 || type() == TensorType::Q2_0;
    const float largest = type() == TensorType::NVFP4 ? 6 * 480 : (doubles ? 2 : 1) * codec_of(type()).largest;
    for (const float y : out) EXPECT_FALSE(std::isfinite(y) && std::abs(y) > largest) << y;
  }
}

// Random bytes under a given scale are numbers, and the scale is a factor of all of them.
TEST_P(EveryScaleSetter, ValuesFollowTheScale) {
  const Codec& codec = codec_of(type());
  const TypeInfo& info = type_info(type());
  Random random(11);
  std::vector<float> one(info.block_length), other(info.block_length);
  for (int i = 0; i < 200; ++i) {
    std::vector<std::byte> block(info.block_bytes);
    for (std::byte& b : block) b = static_cast<std::byte>(random.bits());
    codec.set_scale(1, block.data());
    codec.decode(block.data(), info.block_length, one.data());
    for (const float scale : {0.0f, 0.25f, -8.0f}) {
      codec.set_scale(scale, block.data());
      codec.decode(block.data(), info.block_length, other.data());
      for (size_t k = 0; k < one.size(); ++k) EXPECT_EQ(other[k], scale * one[k]);
    }
    EXPECT_GT(largest_of(one.data(), one.size()), 0);
    EXPECT_LE(largest_of(one.data(), one.size()) * 65504, codec.largest);
  }
}

// Beyond the largest magnitude nothing comes back as it was: it saturates or overflows.
TEST_P(EveryEncoder, TheLargestMagnitudeIsTheLargest) {
  const float largest = codec_of(type()).largest;
  if (largest > 1e38f) return;
  std::vector<float> x(512);
  x[3] = 1.25f * largest;
  const float y = decode(type(), encode(type(), x))[3];
  EXPECT_FALSE(std::isfinite(y) && y > 1.01f * largest) << y;
}

// A block does not know its neighbours: a row of any number of blocks encodes like its blocks alone.
TEST_P(EveryEncoder, BlocksStandAlone) {
  const auto length = type_info(type()).block_length;
  const std::vector<float> row = gaussian(7 * length, 0.1, 8);
  const std::vector<std::byte> blocks = encode(type(), row);
  for (size_t b = 0; b < 7; ++b) {
    const std::vector<float> alone(row.begin() + static_cast<long>(b * length),
                                   row.begin() + static_cast<long>((b + 1) * length));
    const std::vector<std::byte> block = encode(type(), alone);
    EXPECT_EQ(std::memcmp(block.data(), blocks.data() + b * block.size(), block.size()), 0);
  }
}

// Threads and the number of rows change nothing; importance belongs to the columns.
TEST_P(EveryEncoder, TensorsAreRows) {
  constexpr int64_t kColumns = 768, kRows = 5;
  const std::vector<float> x = gaussian(kColumns * kRows, 0.02, 9);
  std::vector<float> importance(kColumns);
  for (size_t i = 0; i < importance.size(); ++i) importance[i] = 0.5f + static_cast<float>(i % 5);
  const uint64_t n_bytes = row_bytes(type(), kColumns);
  std::vector<std::byte> one(n_bytes * kRows), three(n_bytes * kRows);
  ThreadPool one_thread(1), three_threads(3);
  encode_tensor(type(), x.data(), kColumns, kRows, importance.data(), one.data(), one_thread);
  encode_tensor(type(), x.data(), kColumns, kRows, importance.data(), three.data(), three_threads);
  EXPECT_EQ(one, three);
  std::vector<float> decoded(x.size());
  decode_tensor({"w", type(), {kColumns, kRows, 1, 1}, one.data()}, decoded.data(), three_threads);
  for (int64_t r = 0; r < kRows; ++r) {
    const std::vector<float> row(x.begin() + r * kColumns, x.begin() + (r + 1) * kColumns);
    const std::vector<std::byte> blocks = encode(type(), row, importance.data());
    EXPECT_EQ(std::memcmp(blocks.data(), one.data() + static_cast<uint64_t>(r) * n_bytes, n_bytes), 0);
    EXPECT_EQ(
        std::memcmp(decode(type(), blocks).data(), decoded.data() + r * kColumns, kColumns * sizeof(float)),
        0);
  }
}

std::vector<TensorType> types_where(bool (*wanted)(const Codec&)) {
  std::vector<TensorType> types;
  for (const Codec& codec : codecs())
    if (wanted(codec)) types.push_back(codec.type);
  return types;
}

std::string name_of(const ::testing::TestParamInfo<TensorType>& test) { return std::string(type_name(test.param)); }

INSTANTIATE_TEST_SUITE_P(Formats, EveryCodec,
                         ::testing::ValuesIn(types_where([](const Codec&) { return true; })), name_of);
INSTANTIATE_TEST_SUITE_P(Formats, EveryEncoder,
                         ::testing::ValuesIn(types_where([](const Codec& c) { return c.encode != nullptr; })), name_of);
INSTANTIATE_TEST_SUITE_P(Formats, EveryScaleSetter,
                         ::testing::ValuesIn(types_where([](const Codec& c) { return c.encode == nullptr; })), name_of);

TEST(CodecTable, FindsWhatItHas) {
  EXPECT_EQ(find_codec(TensorType::I32), nullptr);
  EXPECT_EQ(codec_of(TensorType::Q4_0).type, TensorType::Q4_0);
  EXPECT_FALSE(can_encode(TensorType::I32));
  EXPECT_FALSE(can_encode(TensorType::IQ2_XXS));
  EXPECT_TRUE(can_encode(TensorType::TQ1_0));
}

// Every type of the file format but those that never hold weights: integers, doubles, and the activations' own.
TEST(CodecTable, HasEveryWeightType) {
  using enum TensorType;
  const std::set<TensorType> others = {I8, I16, I32, I64, F64, Q8_1, Q8_K};
  for (const TypeInfo& info : all_types())
    EXPECT_EQ(find_codec(info.type) != nullptr, !others.contains(info.type)) << info.name;
  for (const Codec& codec : codecs()) EXPECT_EQ(codec.encode == nullptr, codec.set_scale != nullptr);
}

TEST(PlainFormats, DecodeLikeTheFloatFormats) {
  for (uint32_t code = 0; code < 0x10000; ++code) {
    const auto half = static_cast<uint16_t>(code);
    const std::byte bytes[2] = {static_cast<std::byte>(code & 255), static_cast<std::byte>(code >> 8)};
    float value = 0;
    codec_of(TensorType::F16).decode(bytes, 1, &value);
    ASSERT_EQ(std::bit_cast<uint32_t>(value), std::bit_cast<uint32_t>(f16_to_f32(half))) << code;
    codec_of(TensorType::BF16).decode(bytes, 1, &value);
    ASSERT_EQ(std::bit_cast<uint32_t>(value), std::bit_cast<uint32_t>(bf16_to_f32(half))) << code;
  }
}

// Values that are on a Q4_0 lattice with code 0 in use come back with the same codes and the same scale.
TEST(Q4_0, ItsOwnLatticeIsAFixedPoint) {
  Random random(10);
  for (int trial = 0; trial < 2000; ++trial) {
    std::vector<std::byte> block(18);
    const uint16_t d = f32_to_f16(static_cast<float>(std::exp(2 * random.normal() - 4)));
    std::memcpy(block.data(), &d, 2);
    for (size_t i = 2; i < 18; ++i) block[i] = static_cast<std::byte>(random.bits());
    block[2 + static_cast<size_t>(random.below(16))] &= std::byte{0xf0};
    EXPECT_EQ(encode(TensorType::Q4_0, decode(TensorType::Q4_0, block)), block);
  }
}

// The reference rounds half away from zero.
TEST(Q8_0, Ties) {
  std::vector<float> row(32);
  row[0] = 127;
  row[1] = 0.5f;
  row[2] = -2.5f;
  row[3] = 0.49999997f;
  const std::vector<std::byte> block = encode(TensorType::Q8_0, row);
  const int8_t expected[4] = {127, 1, -3, 0};
  EXPECT_EQ(std::memcmp(block.data() + 2, expected, 4), 0);
}

}  // namespace
}  // namespace carat
