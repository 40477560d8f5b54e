// The type table and the small float formats, against closed forms.
#include "tensor/tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tensor/float_formats.h"

namespace carat {
namespace {

TEST(Types, NamesAndIdsRoundTrip) {
  for (const TypeInfo& info : all_types()) {
    EXPECT_EQ(find_type(static_cast<uint32_t>(info.type)), &info);
    EXPECT_EQ(parse_type_name(info.name), info.type);
  }
  EXPECT_EQ(parse_type_name("q4_k"), TensorType::Q4_K);
  EXPECT_EQ(parse_type_name("Q4_K_M"), std::nullopt);
  for (const uint32_t removed : {4u, 5u, 31u, 32u, 33u, 36u, 37u, 38u, 43u, 0xffffffffu})
    EXPECT_EQ(find_type(removed), nullptr);
  EXPECT_DOUBLE_EQ(type_info(TensorType::Q4_K).bits_per_weight(), 4.5);
}

TEST(Types, FloatsAreThree) {
  std::string names;
  for (const TypeInfo& info : all_types())
    if (is_float(info.type)) names += std::string(info.name) + " ";
  EXPECT_EQ(names, "F32 F16 BF16 ");
}

// By the definition of the format, independent of the bit tricks.
TEST(FloatFormats, HalfMeansWhatItsFieldsSay) {
  for (uint32_t code = 0; code < 0x10000; ++code) {
    const int exponent = static_cast<int>(code >> 10 & 31u), mantissa = static_cast<int>(code & 1023u);
    const float value = f16_to_f32(static_cast<uint16_t>(code));
    EXPECT_EQ(std::signbit(value), code >= 0x8000);
    if (exponent == 31) {
      EXPECT_TRUE(mantissa == 0 ? std::isinf(value) : std::isnan(value));
    } else {
      const int whole = exponent == 0 ? mantissa : 1024 + mantissa;
      EXPECT_EQ(std::fabs(value), std::ldexp(static_cast<float>(whole), std::max(exponent, 1) - 25));
    }
  }
}

TEST(FloatFormats, HalfRoundTripsEveryCode) {
  for (uint32_t code = 0; code < 0x10000; ++code) {
    const float value = f16_to_f32(static_cast<uint16_t>(code));
    if (std::isnan(value)) continue;
    EXPECT_EQ(f32_to_f16(value), code);
  }
}

TEST(FloatFormats, HalfRoundsToNearestEven) {
  for (uint32_t code = 0; code < 0x7bff; ++code) {
    const float low = f16_to_f32(static_cast<uint16_t>(code)), high = f16_to_f32(static_cast<uint16_t>(code + 1));
    const float middle = low + (high - low) / 2;
    EXPECT_EQ(f32_to_f16(middle), code + (code & 1));
    EXPECT_EQ(f32_to_f16(std::nextafter(middle, high)), code + 1);
    EXPECT_EQ(f32_to_f16(std::nextafter(middle, low)), code);
  }
  EXPECT_EQ(f32_to_f16(65519.0f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(-std::numeric_limits<float>::infinity()), 0xfc00);
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::quiet_NaN()) & 0x7fff, 0x7e00);
}

TEST(FloatFormats, Bfloat) {
  EXPECT_EQ(f32_to_bf16(1.0f), 0x3f80);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f808000u)), 0x3f80);  // tie to even
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f818000u)), 0x3f82);
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::bit_cast<float>(0x7f800001u)))));
}

TEST(FloatFormats, ScaleFormats) {
  for (int e = 0; e < 255; ++e) EXPECT_EQ(e8m0_half(static_cast<uint8_t>(e)), std::ldexp(1.0f, e - 128));
  EXPECT_EQ(e4m3_half(0x7e), 224.0f);
  EXPECT_EQ(e4m3_half(0x7f), 0.0f);
  EXPECT_EQ(e4m3_half(1), 0x1p-10f);
  for (int code = 0; code < 0x78; ++code)  // 0x78..0x7d cannot be produced: the reference's quirk
    EXPECT_EQ(f32_to_e4m3(2 * e4m3_half(static_cast<uint8_t>(code))), code);
  EXPECT_EQ(f32_to_e4m3(248.0f), 0x7e);
}

TEST(Tensors, Slices) {
  alignas(64) std::byte bytes[18 * 2 * 3 * 4]{};
  const Tensor stack{"w", TensorType::Q4_0, {64, 3, 4, 1}, bytes};
  EXPECT_EQ(stack.n_bytes(), sizeof bytes);
  EXPECT_EQ(stack.slice(2).data, bytes + 2 * 3 * 36);
  EXPECT_EQ(to_string(stack.shape), "[64, 3, 4]");
  EXPECT_EQ(to_string({7, 1, 1, 1}), "[7]");
}

}  // namespace
}  // namespace carat
