// Every format's bytes on one fixed input, against ggml's own output.
//
// How the numbers were made: the input's and every blob's SHA-256 were compared with those of
// ggml_quantize_chunk's output (and of ggml's decoders), and then the blob's first 24 bytes and the 64-bit
// FNV-1a of all of it were written down here. The first eight bytes of the SHA-256 stand beside each line for
// whoever wants to repeat that.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/random.h"
#include "quant/codec.h"

namespace carat {
namespace {

constexpr int64_t kColumns = 1024, kRows = 4;

struct KnownAnswer {
  TensorType type;
  const char* first_bytes;   // of the encoding without importance, in hexadecimal
  uint64_t plain, weighted;  // the encodings without and with importance
  uint64_t decoded;          // the floats that `plain` decodes to
};

constexpr KnownAnswer kAnswers[] = {
    // a609ac8dca0acc10 a609ac8dca0acc10 a609ac8dca0acc10
    {TensorType::F32, "bdfd7fbd4311b33520b857bd83f61638c5e833bd58b22e39", 0x6065df4235f8bc19,
     0x6065df4235f8bc19, 0x6065df4235f8bc19},
    // afc72ce9fb9c90f9 afc72ce9fb9c90f9 9858764be2d4f06e
    {TensorType::F16, "00ac1600beaa5c029fa97609a2a87d0f8aa7f5130aa64417", 0xfe5b0c2822a6d27f,
     0xfe5b0c2822a6d27f, 0x77a5388f73101e3f},
    // f378cede47dde96e f378cede47dde96e a1a24a71cf084a97
    {TensorType::BF16, "80bdb33558bd173834bd2f3914bdf039f1bc7f3ac1bce83a", 0x76e6f9f33a492fdd,
     0x76e6f9f33a492fdd, 0x5ae5931c4f6ecc2d},
    // 6f2180598c3c4bf1 6f2180598c3c4bf1 0419033dfd8fa10a
    {TensorType::Q8_0, "081081009500a700b601c402d004da06e309ea0df013f519", 0xcfd97023411930b3,
     0xcfd97023411930b3, 0xe12ede92442e546f},
    // 3bec10e1e460d91d e85eb98dda666fff bc11487280126275
    {TensorType::Q4_0, "00207098719872a883a884b885b886c886d9651f886f886f", 0xe77d8ceaa4ff4daa,
     0x1bfa1c111dc5547a, 0x89fccf84e2c40ece},
    // bfe1df702888e374 27e37477193c8324 aecb52bc684f6c60
    {TensorType::Q4_1, "fa1e00ac80a981b983b994c995c996d996ea97fad81f65ab", 0x4a71750b1405b956,
     0x41152207be964543, 0x7c8cca40a36bb2ea},
    // 704e2bfe32ea5bb6 c40cc445fd651a96 7faaaadcae812054
    {TensorType::Q5_0, "001caaaaaafed020e320f530f740f8500a700b810ca1651b", 0xb4b0cd316681a861,
     0x13925c302a71c8cd, 0xb170d11da7a20a51},
    // 7afc7835c0d88292 e92bec4f2b366026 3a10f6607bf70960
    {TensorType::Q5_1, "c01a00acaaaaffff00531363167328832a933cb33dd43ff4", 0x98b78cd68d8ae553,
     0xe95ada8c5796eb38, 0xcd8a681870f71543},
    // aeda340fa42e11dc 5cec4f79d279d011 4c0c60f3f1cf6ada
    {TensorType::Q2_K, "f826ee45be86dea507ef25ed45ce75ee689f689f69937993", 0xe96d219eb1ed36cb,
     0x8ef32e5592bfe09a, 0x315cbc8f2fd303a5},
    // 6f5d8fdc483b416f b64f750fabeb8897 a881d8e61ea0a183
    {TensorType::Q3_K, "6adf2adf2add2add2add2edd2ed52ed5abf6b9f6b9d6b9d6", 0xeb7e57fd5f8ed3cc,
     0xb62bfb2be1f872f6, 0xba7e6e3dfc7b4ed5},
    // c0db1694c5fd0e41 4e2703a7b5c13678 55eef468bd3f35a5
    {TensorType::Q4_K, "3c080914f4fffafffff9f6fa5abf6acb70d971e973097419", 0xc7602bcb2b23dcdc,
     0x2a9488daa52c03ef, 0x8fa6beb946035e33},
    // 8dc150c834081f37 2d414fdf3954ccd6 7586279a4ec8b025
    {TensorType::Q5_K, "fd031514f6fcfdfefffaf4fc5dce5ddf16ab16ab5ea95ea9", 0x11d6103bb44d103d,
     0x4fad301364954b90, 0xf552a095f1a8abef},
    // c5b69a7e79c690f3 3f36d899c01d1cb3 6c8ec4f42e33b279
    {TensorType::Q6_K, "1100d6009a005e000100c40177013902091b6629c4360353", 0x4958294598317b32,
     0x126b73ccac6b75ea, 0x6889150c89a77ebe},
    // a42f32e3e3a5f33f af7153bd42060bcd 2d8814ae23a13d90
    {TensorType::IQ4_NL, "0f106098719872a873b873b884c885d885e9ec0f885e986f", 0x87df1acc6e180084,
     0xf7b7941bfeaa29a1, 0x6cd15bc68a838c60},
    // 6517b01432da53ef fe1bcc26010a48af 09f37a95620d2620
    {TensorType::IQ4_XS, "04813033101f1f1f6098719872a873b873b884c885d885e9", 0x37c9f683a4248b11,
     0x28fb20bdea3e3e32, 0x0058a0b25ac0acca},
    // 13472743836918b1 13472743836918b1 74039abaf953ca14
    {TensorType::MXFP4, "78bf20af209f309e409e500d500c610c717810c710b710af", 0x83d5cb424922e08a,
     0x83d5cb424922e08a, 0xefc0169a857ba223},
    // 70da373d6f8422d5 70da373d6f8422d5 8420f51a96fbc596
    {TensorType::NVFP4, "05030502df00cf00ce10be109c620b630a74097500e600d7", 0xd6f142d673b606c1,
     0xd6f142d673b606c1, 0xf79cd8166fba3ab7},
    // a79ccc57c4272767 a79ccc57c4272767 85f36c065fbcff98
    {TensorType::TQ1_0, "2b9c349c3467346789677867787d787d817d7f7d7f807f80", 0xfd426090ba4f3227,
     0xfd426090ba4f3227, 0xac411167284fb305},
    // 2ba4a1ddbabcedd3 2ba4a1ddbabcedd3 85f36c065fbcff98
    {TensorType::TQ2_0, "545964596491649165914591451545155515551555555555", 0x64189e2bd31715fd,
     0x64189e2bd31715fd, 0xac411167284fb305},
    // 765e5f7075b0f73e 765e5f7075b0f73e f5f643a5dd9f6600
    {TensorType::Q1_0, "0724aaaaaaaa4a55555555abaaaaaa4a55551e245555abaa", 0xd7cb1dc950771811,
     0xd7cb1dc950771811, 0x24d758c11cfc8d25},
    // e0b4e826e00bb1da e0b4e826e00bb1da 2d24a5df6621eda8
    {TensorType::Q2_0, "002c44445555555555999911115555555555ea2b65664644", 0x4f8d87db83f882c9,
     0x4f8d87db83f882c9, 0xaa654d94ccb2bd7d},
};

// The same for an input of strange blocks (see strange_input), the output compared with the library's byte by
// byte.
struct StrangeAnswer {
  TensorType type;
  uint64_t plain, weighted;
};

// clang-format off
constexpr StrangeAnswer kStrangeAnswers[] = {
    {TensorType::F32, 0x7f5c1db1ea5b1e6f, 0x7f5c1db1ea5b1e6f},
    {TensorType::F16, 0x4af4c59a9fecaa97, 0x4af4c59a9fecaa97},
    {TensorType::BF16, 0xc4fea8052674a75a, 0xc4fea8052674a75a},
    {TensorType::Q8_0, 0xa4efe59d81f7e7ab, 0xa4efe59d81f7e7ab},
    {TensorType::Q4_0, 0x37c17abc581867ef, 0xfabc0e387e157967},
    {TensorType::Q4_1, 0x0d85ca5c765be897, 0x7c519d349c3f2338},
    {TensorType::Q5_0, 0x46f9286d64770142, 0x88f57bf0c927b92a},
    {TensorType::Q5_1, 0xa71cddab16a13b17, 0x9813319e88d17960},
    {TensorType::Q2_K, 0xb8b86d9a7aa0fa30, 0xac7eeeb01ed58e14},
    {TensorType::Q3_K, 0x7abf8cd8c4a583de, 0x8afdf575c68c592f},
    {TensorType::Q4_K, 0xbe1c8d949c841b52, 0xfa0d331d9ee3df2a},
    {TensorType::Q5_K, 0x321bbf17f51da622, 0x2e8fa778d730ff52},
    {TensorType::Q6_K, 0xf06f54fe996e41bc, 0x243174a4e07cee5a},
    {TensorType::IQ4_NL, 0x944b77b6d41bd716, 0xd45dac121bba6c42},
    {TensorType::IQ4_XS, 0x6ff4da481d3842a0, 0xe4443b2b6019265d},
    {TensorType::MXFP4, 0x024544f6a9cb35ea, 0x024544f6a9cb35ea},
    {TensorType::NVFP4, 0x6f4acaa81556d740, 0x6f4acaa81556d740},
    {TensorType::TQ1_0, 0xb9c6cab5c651ab4f, 0xb9c6cab5c651ab4f},
    {TensorType::TQ2_0, 0x63558d8d52efded5, 0x63558d8d52efded5},
    {TensorType::Q1_0, 0xda42aa1f74de8405, 0xda42aa1f74de8405},
    {TensorType::Q2_0, 0xf2eede7a1c50d5de, 0xf2eede7a1c50d5de},
};
// clang-format on

// Formats without an encoder: what ggml's decoders make of random bytes (see random_blocks).
struct KnownDecoding {
  TensorType type;
  uint64_t decoded;
};

constexpr KnownDecoding kDecodings[] = {
    {TensorType::IQ3_S, 0xdebd1776348f67d0},   {TensorType::IQ3_XXS, 0x3ea39cf8c7a8d5be},
    {TensorType::IQ2_S, 0xb28e50600102f921},   {TensorType::IQ2_XS, 0xf4976cbb9dddfde2},
    {TensorType::IQ2_XXS, 0xf11b125ecbab4005}, {TensorType::IQ1_M, 0xd6e4ffe19acb2aae},
    {TensorType::IQ1_S, 0x7a13b01f149fd4ea},
};

uint64_t fnv1a(const void* data, size_t n, uint64_t hash = 0xcbf29ce484222325u) {
  for (size_t i = 0; i < n; ++i) hash = (hash ^ static_cast<const uint8_t*>(data)[i]) * 0x100000001b3u;
  return hash;
}

std::string hex(const std::byte* data, size_t n) {
  std::string text;
  for (size_t i = 0; i < n; ++i) text += fmt::format("{:02x}", static_cast<unsigned>(data[i]));
  return text;
}

// A linear congruential generator, cubed for heavy tails.
std::vector<float> input() {
  std::vector<float> x(kRows * kColumns);
  for (uint64_t i = 0; i < x.size(); ++i) {
    const double u = static_cast<double>((i * 1103515245 + 12345) % 0x80000000u) / 0x1p31 - 0.5;
    x[i] = static_cast<float>(u * std::abs(u) * std::abs(u) * 0.5);
  }
  return x;
}

std::vector<float> importance() {
  std::vector<float> weights(kColumns);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = 1 + static_cast<float>(i % 7);
  return weights;
}

constexpr int64_t kStrangeRows = 48;
constexpr uint64_t kStrangeSeeds[] = {3, 48};

// Stretches of 16: below zero, nearly nothing with outliers, one value, zeros, few nonzero among zeros; later
// rows also one sign and coarse integers; the last ones next to nothing and huge. All from uniform numbers,
// so that no mathematical library has a say. The seeds are two of the few with which a search ends in a
// negative scale.
std::vector<float> strange_input(uint64_t seed) {
  Random random(seed);
  std::vector<float> x;
  for (int64_t row = 0; row < kStrangeRows; ++row)
    for (int64_t stretch = 0; stretch < kColumns / 16; ++stretch) {
      const int64_t kind = random.below(row < 32 ? 3 : row < 40 ? 8 : 10);
      const float tiny = std::ldexp(1.0f, static_cast<int>(random.below(100)) - 148);
      for (int i = 0; i < 16; ++i) {
        const auto u = static_cast<float>(random.uniform() - 0.5);
        const bool rare = random.below(16) == 0;
        const float values[10] = {
            u - 1.5f, rare ? 300 * u : 0.01f * u, -0.02f,   0,        rare ? u : 0, 0.01f,
            u + 0.5f, std::round(8 * u),          tiny * u, 1e15f * u};
        x.push_back(values[kind]);
      }
    }
  return x;
}

std::vector<float> strange_importance(uint64_t seed) {
  Random random(seed + 1);
  std::vector<float> weights(kColumns);
  for (float& w : weights) w = random.below(3) == 0 ? 0 : static_cast<float>(random.uniform()) * 1e-3f;
  return weights;
}

constexpr int64_t kRandomBlocks = 64;

// Random bytes under scales of all sizes.
std::vector<std::byte> random_blocks(const Codec& codec) {
  const size_t block_bytes = type_info(codec.type).block_bytes;
  Random random(12);
  std::vector<std::byte> blocks(kRandomBlocks * block_bytes);
  for (std::byte& b : blocks) b = static_cast<std::byte>(random.bits());
  for (int i = 0; i < kRandomBlocks; ++i)
    codec.set_scale(std::ldexp(1 + static_cast<float>(i) / 64, i % 16 - 8),
                    blocks.data() + static_cast<size_t>(i) * block_bytes);
  return blocks;
}

TEST(KnownAnswers, CoverEveryCodec) {
  ASSERT_EQ(std::size(kAnswers) + std::size(kDecodings), codecs().size());
  for (const KnownAnswer& answer : kAnswers) EXPECT_NE(find_codec(answer.type), nullptr);
  const std::vector<float> x = input();
  EXPECT_EQ(fnv1a(x.data(), x.size() * sizeof(float)), kAnswers[0].plain);  // F32 stores the input itself
}

class KnownAnswers : public ::testing::TestWithParam<KnownAnswer> {};

TEST_P(KnownAnswers, EncodeAndDecode) {
  const KnownAnswer& answer = GetParam();
  const std::vector<float> x = input(), weights = importance();
  std::vector<std::byte> blocks(row_bytes(answer.type, kColumns) * kRows);
  ThreadPool pool(2);
  encode_tensor(answer.type, x.data(), kColumns, kRows, weights.data(), blocks.data(), pool);
  EXPECT_EQ(fnv1a(blocks.data(), blocks.size()), answer.weighted);

  encode_tensor(answer.type, x.data(), kColumns, kRows, nullptr, blocks.data(), pool);
  EXPECT_EQ(hex(blocks.data(), 24), answer.first_bytes);
  EXPECT_EQ(fnv1a(blocks.data(), blocks.size()), answer.plain);

  std::vector<float> decoded(x.size());
  decode_tensor({"w", answer.type, {kColumns, kRows, 1, 1}, blocks.data()}, decoded.data(), pool);
  EXPECT_EQ(fnv1a(decoded.data(), decoded.size() * sizeof(float)), answer.decoded);
}

TEST(KnownAnswers, DecodeRandomBlocks) {
  for (const KnownDecoding& answer : kDecodings) {
    const std::vector<std::byte> blocks = random_blocks(codec_of(answer.type));
    std::vector<float> decoded(kRandomBlocks * type_info(answer.type).block_length);
    codec_of(answer.type).decode(blocks.data(), static_cast<int64_t>(decoded.size()), decoded.data());
    EXPECT_EQ(fnv1a(decoded.data(), decoded.size() * sizeof(float)), answer.decoded) << type_name(answer.type);
  }
}

TEST(KnownAnswers, StrangeBlocks) {
  ASSERT_EQ(std::size(kStrangeAnswers), std::size(kAnswers));
  ThreadPool pool(2);
  for (const StrangeAnswer& answer : kStrangeAnswers) {
    std::vector<std::byte> blocks(row_bytes(answer.type, kColumns) * kStrangeRows);
    uint64_t plain = fnv1a(nullptr, 0), weighted = plain;
    for (const uint64_t seed : kStrangeSeeds) {
      const std::vector<float> x = strange_input(seed), weights = strange_importance(seed);
      encode_tensor(answer.type, x.data(), kColumns, kStrangeRows, nullptr, blocks.data(), pool);
      plain = fnv1a(blocks.data(), blocks.size(), plain);
      encode_tensor(answer.type, x.data(), kColumns, kStrangeRows, weights.data(), blocks.data(), pool);
      weighted = fnv1a(blocks.data(), blocks.size(), weighted);
    }
    EXPECT_EQ(plain, answer.plain) << type_name(answer.type);
    EXPECT_EQ(weighted, answer.weighted) << type_name(answer.type);
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, KnownAnswers, ::testing::ValuesIn(kAnswers),
                         [](const auto& test) { return std::string(type_name(test.param.type)); });

}  // namespace
}  // namespace carat
