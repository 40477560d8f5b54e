// Products of every weight family against plain double sums, and the promise that a row's bits depend on
// nothing but the row. Tolerances are counted roundings times the sum of the terms' magnitudes.
#include <set>

#include "support.h"

namespace carat::kernels_test {
namespace {

using enum TensorType;

struct Operands {
  std::vector<float> x;
  std::vector<float> out;
};

std::vector<float> multiply(Backend& backend, const Tensor& weight, const float* x, int64_t n_tokens) {
  std::vector<float> out(static_cast<size_t>(n_tokens * weight.n_rows()));
  const Product product{&weight, out.data(), weight.n_rows()};
  backend.matmul({&product, 1}, x, n_tokens);
  return out;
}

// x is what the weights are multiplied with: activations, then in floats, or activations rounded to 8 bits.
void expect_product(const Weight& w, const double* x, int64_t n_tokens, const std::vector<float>& out,
                    const std::string& what, bool in_floats) {
  const int64_t k = w.tensor.n_columns(), n_rows = w.tensor.n_rows();
  for (int64_t t = 0; t < n_tokens; ++t)
    for (int64_t r = 0; r < n_rows; ++r) {
      double sum = 0, largest = 0, x_sum = 0;
      for (int64_t i = 0; i < k; ++i) {
        sum += w.row(r)[i] * x[t * k + i];
        largest = std::max(largest, std::fabs(double{w.row(r)[i]}));
        x_sum += std::fabs(x[t * k + i]);
      }
      // Floats: a chain of up to 128 additions (pairs of bf16: 256) and two more for each 256 values. Otherwise one for each 16
      // and the roundings of the scales; with an offset or a minimum the terms are up to three times the largest weight.
      const double chain = std::min<double>(static_cast<double>(k), 512) / 2 + static_cast<double>(k) / 128;
      const double steps = in_floats ? chain : static_cast<double>(k) / 16;
      const double bound = (steps + 12) * kEpsilon * 3 * largest * x_sum;
      ASSERT_NEAR(out[static_cast<size_t>(t * n_rows + r)], sum, bound + 1e-37)
          << what << " row " << r << " token " << t << " k " << k;
    }
}

// Whether fast precision rounds the activations of a weight in BF16.
bool rounds_to_bf16(const Isa& isa, const Tensor& weight) {
  const KernelTable kernels = resolve_kernels(isas(), static_cast<size_t>(&isa - isas().data()));
  return weight.type == BF16 && weight.n_columns() % 2 == 0 && kernels.products_bf16_pairs != nullptr;
}

std::vector<float> round_to_bf16(std::vector<float> x) {
  for (float& value : x) value = bf16_to_f32(f32_to_bf16(value));
  return x;
}

std::vector<double> widen(const std::vector<float>& x) { return {x.begin(), x.end()}; }

std::vector<double> rounded_rows(const std::vector<float>& x, int64_t k) {
  std::vector<double> all;
  for (size_t begin = 0; begin < x.size(); begin += static_cast<size_t>(k)) {
    const std::vector<double> row = rounded_to_int8(x.data() + begin, k);
    all.insert(all.end(), row.begin(), row.end());
  }
  return all;
}

const TensorType kIntegerTypes[] = {
#define CARAT_FORMAT(name) TensorType::name,
    CARAT_INT8_FORMATS(CARAT_FORMAT)
#undef CARAT_FORMAT
};

class Matmul : public PerIsa {};
CARAT_FOR_EACH_ISA(Matmul);

TEST_P(Matmul, FloatWeightsOverAllTails) {
  auto fast = backend(1, Precision::fast), exact = backend(1, Precision::exact);
  for (const TensorType type : {F32, F16, BF16})
    for (const int64_t k : {1, 2, 5, 15, 16, 17, 32, 48, 63, 200, 255, 256, 257, 519})
      for (const int64_t n_rows : {1, 3, 15, 16, 17, 35}) {
        const Weight w = make_weight(type, k, n_rows, static_cast<uint64_t>(k * 100 + n_rows));
        for (const int64_t n_tokens : {1, 2, 3, 4, 5, 7, 9, 13}) {
          const std::vector<float> x = gaussian(static_cast<size_t>(k * n_tokens), 3);
          const std::vector<float> out = multiply(*exact, w.tensor, x.data(), n_tokens);
          expect_product(w, widen(x).data(), n_tokens, out, std::string(type_name(type)), true);
          const std::vector<float> fast_out = multiply(*fast, w.tensor, x.data(), n_tokens);
          if (rounds_to_bf16(*GetParam(), w.tensor))
            expect_product(w, widen(round_to_bf16(x)).data(), n_tokens, fast_out, "BF16 in pairs", true);
          else
            ASSERT_TRUE(same_bits(out, fast_out));
        }
      }
}

// Every tail of pairs, several pieces of k, and rows that begin in the same sets of a cache.
TEST_P(Matmul, Bf16InPairs) {
  auto fast = backend(1, Precision::fast);
  for (const int64_t k : {2, 4, 6, 8, 14, 22, 66, 258, 334, 510, 512, 514, 566, 1024, 1030, 2048})
    for (const int64_t n_rows : {5, 16, 33}) {
      const Weight w = make_weight(BF16, k, n_rows, static_cast<uint64_t>(k + n_rows));
      if (!rounds_to_bf16(*GetParam(), w.tensor)) GTEST_SKIP() << GetParam()->name << " does not multiply bf16";
      for (const int64_t n_tokens : {1, 2, 3, 4, 14, 49}) {
        const std::vector<float> x = gaussian(static_cast<size_t>(k * n_tokens), 3);
        expect_product(w, widen(round_to_bf16(x)).data(), n_tokens, multiply(*fast, w.tensor, x.data(), n_tokens), "pairs", true);
      }
    }
}

// Denormal values of bf16 count as zero on either side; what is not finite stays so.
TEST_P(Matmul, Bf16InPairsOfUnusualValues) {
  Weight w = make_weight(BF16, 64, 16, 1);
  if (!rounds_to_bf16(*GetParam(), w.tensor)) GTEST_SKIP() << GetParam()->name << " does not multiply bf16";
  auto fast = backend();
  const auto set = [&](size_t row, size_t i, float value) {
    const uint16_t bits = f32_to_bf16(value);
    std::memcpy(w.bytes.data() + 2 * (row * 64 + i), &bits, 2);
  };
  for (size_t i = 0; i < 64; ++i) set(0, i, 1e-39f), set(1, i, 1e30f);
  std::vector<float> x(4 * 64, 0.0f);
  for (size_t i = 0; i < 64; ++i) x[i] = 1e30f, x[64 + i] = 1e-39f;
  x[2 * 64 + 40] = INFINITY;
  x[3 * 64 + 3] = NAN;
  const std::vector<float> out = multiply(*fast, w.tensor, x.data(), 4);
  EXPECT_EQ(out[0], 0);
  EXPECT_EQ(out[16 + 1], 0);
  for (size_t r = 0; r < 16; ++r) {
    EXPECT_FALSE(std::isfinite(out[2 * 16 + r])) << r;
    EXPECT_TRUE(std::isnan(out[3 * 16 + r])) << r;
  }
}

TEST_P(Matmul, QuantizedWeightsExactly) {
  auto exact = backend(1, Precision::exact);
  for (const Codec& codec : codecs()) {
    const int64_t block = type_info(codec.type).block_length;
    for (const int64_t k : {block, 3 * block})
      for (const int64_t n_rows : {1, 16, 21}) {
        const Weight w = make_weight(codec.type, k, n_rows, 5);
        const std::vector<float> x = gaussian(static_cast<size_t>(k * 3), 6);
        expect_product(w, widen(x).data(), 3, multiply(*exact, w.tensor, x.data(), 3),
                       std::string(type_name(codec.type)), true);
      }
  }
}

// Whatever has no kernel of its own is decoded tile by tile: the same bits as from the decoded weight, in both
// precisions.
TEST_P(Matmul, EveryCodecIsItsDecodedWeight) {
  auto exact = backend(1, Precision::exact), fast = backend(2, Precision::fast);
  const std::set<TensorType> eight_bit = {std::begin(kIntegerTypes), std::end(kIntegerTypes)};
  for (const Codec& codec : codecs()) {
    const int64_t k = 768, n_rows = 37, n_tokens = 5;
    const Weight w = make_weight(codec.type, k, n_rows, 11);
    Weight plain = w;
    plain.tensor.type = F32;
    plain.tensor.data = reinterpret_cast<const std::byte*>(plain.values.data());
    const std::vector<float> x = gaussian(static_cast<size_t>(k * n_tokens), 12);
    const std::vector<float> want = multiply(*exact, plain.tensor, x.data(), n_tokens);
    EXPECT_TRUE(same_bits(multiply(*exact, w.tensor, x.data(), n_tokens), want)) << type_name(codec.type);
    if (eight_bit.contains(codec.type) || rounds_to_bf16(*GetParam(), w.tensor)) continue;
    EXPECT_TRUE(same_bits(multiply(*fast, w.tensor, x.data(), n_tokens), want)) << type_name(codec.type);
  }
}

TEST_P(Matmul, QuantizedWeightsWithEightBitActivations) {
  auto fast = backend();
  for (const TensorType type : with_codec({std::begin(kIntegerTypes), std::end(kIntegerTypes)})) {
    const int64_t block = type_info(type).block_length;
    for (const int64_t k : {block, 3 * block, int64_t{5 * 256}, int64_t{9 * 256}})
      for (const int64_t n_rows : {1, 15, 16, 17, 35})
        for (const int64_t n_tokens : {1, 3}) {
          const Weight w = make_weight(type, k, n_rows, static_cast<uint64_t>(k + n_rows));
          const std::vector<float> x = gaussian(static_cast<size_t>(k * n_tokens), 6);
          expect_product(w, rounded_rows(x, k).data(), n_tokens,
                         multiply(*fast, w.tensor, x.data(), n_tokens), std::string(type_name(type)), false);
        }
  }
}

TEST_P(Matmul, EightBitActivationsOverAllTokenCounts) {
  auto fast = backend();
  for (const TensorType type : with_codec({std::begin(kIntegerTypes), std::end(kIntegerTypes)})) {
    const Weight w = make_weight(type, 512, 19, 8);
    for (int64_t n_tokens = 1; n_tokens <= 17; ++n_tokens) {
      const std::vector<float> x = gaussian(static_cast<size_t>(512 * n_tokens), 9);
      expect_product(w, rounded_rows(x, 512).data(), n_tokens, multiply(*fast, w.tensor, x.data(), n_tokens),
                     std::string(type_name(type)), false);
    }
  }
}

TEST_P(Matmul, EveryBitPatternOfABlockDecodesInTheKernelAsInTheCodec) {
  auto fast = backend();
  for (const TensorType type : with_codec({std::begin(kIntegerTypes), std::end(kIntegerTypes)})) {
    const Codec& codec = codec_of(type);
    const int64_t k = 512, n_rows = 32;
    Weight w = make_weight(type, k, n_rows, 1);
    Random random(static_cast<uint64_t>(type));
    // Random bytes, but scales from a valid block: random f16 scales would be infinite or overflow.
    const TypeInfo& info = type_info(type);
    const std::vector<std::byte> valid = w.bytes;
    for (size_t i = 0; i < w.bytes.size(); ++i) w.bytes[i] = static_cast<std::byte>(random.bits());
    for (size_t b = 0; b + info.block_bytes <= w.bytes.size(); b += info.block_bytes) {
      std::vector<float> decoded(info.block_length);
      const auto sane = [&] {
        codec.decode(w.bytes.data() + b, info.block_length, decoded.data());
        return std::ranges::all_of(decoded, [](float v) { return std::fabs(v) < 1e3f; });
      };
      for (int attempt = 0; !sane(); ++attempt) {
        for (size_t i = 0; i < info.block_bytes; ++i)
          w.bytes[b + i] = attempt < 200 ? static_cast<std::byte>(random.bits()) : valid[b + i];
      }
    }
    codec.decode(w.bytes.data(), k * n_rows, w.values.data());
    // One-hot activations read single weights back: 127 * (1/127) of each.
    std::vector<float> x(static_cast<size_t>(k * k));
    for (int64_t i = 0; i < k; ++i) x[static_cast<size_t>(i * k + i)] = 1;
    const std::vector<float> out = multiply(*fast, w.tensor, x.data(), k);
    for (int64_t i = 0; i < k; ++i)
      for (int64_t r = 0; r < n_rows; ++r) {
        float largest = 0;
        for (int64_t j = i / 32 * 32; j < i / 32 * 32 + 32; ++j)
          largest = std::max(largest, std::fabs(w.row(r)[j]));
        ASSERT_NEAR(out[static_cast<size_t>(i * n_rows + r)], w.row(r)[i], 8 * kEpsilon * 3 * largest + 1e-37)
            << type_name(type) << " value " << i << " row " << r;
      }
  }
}

TEST_P(Matmul, ARowsBitsDoNotDependOnBatchOrThreads) {
  std::vector<TensorType> types = with_codec({std::begin(kIntegerTypes), std::end(kIntegerTypes)});
  types.insert(types.end(), {F32, F16, BF16, BF16});
  bool is_odd = true;  // one BF16 of each parity
  for (const Precision precision : {Precision::fast, Precision::exact}) {
    auto one = backend(1, precision), three = backend(3, precision);
    for (const TensorType type : types) {
      if (type == BF16) is_odd = !is_odd;
      const int64_t k = !is_float(type) ? 1280 : type == BF16 && !is_odd ? 334 : 333, n_rows = 83, n_tokens = 33;
      const Weight w = make_weight(type, k, n_rows, 77);
      const std::vector<float> x = gaussian(static_cast<size_t>(k * n_tokens), 78);
      const std::vector<float> all = multiply(*one, w.tensor, x.data(), n_tokens);
      ASSERT_TRUE(same_bits(all, multiply(*three, w.tensor, x.data(), n_tokens))) << type_name(type);
      for (int64_t t = 0; t < n_tokens; ++t) {
        const std::vector<float> alone = multiply(*three, w.tensor, x.data() + t * k, 1);
        ASSERT_TRUE(same_bits(alone.data(), all.data() + t * n_rows, static_cast<size_t>(n_rows)))
            << type_name(type) << " token " << t;
      }
      // Small batches have kernels of their own.
      for (const int64_t n : {2, 3, 4, 5})
        for (const int64_t t : {int64_t{0}, n_tokens - n}) {
          const std::vector<float> few = multiply(*one, w.tensor, x.data() + t * k, n);
          ASSERT_TRUE(same_bits(few.data(), all.data() + t * n_rows, few.size())) << type_name(type) << " tokens " << n;
        }
      // Nor on which rows of the weight are computed with it.
      Tensor part = w.tensor;
      part.data = w.tensor.row(5);
      part.shape[1] = 40;
      const std::vector<float> some = multiply(*one, part, x.data(), 1);
      ASSERT_TRUE(same_bits(some.data(), all.data() + 5, 40)) << type_name(type);
    }
  }
}

// More tokens and rows than float kernels work on at once.
TEST_P(Matmul, ManyTokensAndRowsOfFloatsGiveTheBitsOfFew) {
  auto one = backend(1);
  for (const auto& [type, k] : {std::pair{F32, int64_t{267}}, {F16, 267}, {BF16, 267}, {BF16, 566}}) {
    const int64_t n_rows = 150, n_tokens = 193;
    const Weight w = make_weight(type, k, n_rows, 31);
    const std::vector<float> x = gaussian(static_cast<size_t>(k * n_tokens), 32);
    const std::vector<float> all = multiply(*one, w.tensor, x.data(), n_tokens);
    for (int64_t t = 0; t < n_tokens; ++t) {
      const std::vector<float> alone = multiply(*one, w.tensor, x.data() + t * k, 1);
      ASSERT_TRUE(same_bits(alone.data(), all.data() + t * n_rows, static_cast<size_t>(n_rows)))
          << type_name(type) << " token " << t;
    }
  }
}

TEST_P(Matmul, RepackedWeightsGiveTheSameBits) {
  auto one = backend(1), three = backend(3);
  for (const TensorType type : kIntegerTypes)
    for (const auto& [k, n_rows] : {std::pair{int64_t{256}, int64_t{16}}, {1280, 144}}) {
      const Weight w = make_weight(type, k, n_rows, 77);
      const std::vector<float> x = gaussian(static_cast<size_t>(k * 133), 78);
      const Repacked repacked(*three, w.tensor);
      ASSERT_TRUE(repacked.buffer) << type_name(type);
      EXPECT_EQ(repacked.buffer->size(), w.bytes.size());
      for (const int64_t n_tokens : {1, 2, 3, 4, 5, 7, 133}) {
        const std::vector<float> want = multiply(*one, w.tensor, x.data(), n_tokens);
        for (Backend* cpu : {one.get(), three.get()})
          ASSERT_TRUE(same_bits(multiply(*cpu, repacked.tensor, x.data(), n_tokens), want))
              << type_name(type) << " k " << k << " tokens " << n_tokens;
      }
    }
}

TEST_P(Matmul, WhatCannotBeRepackedIsNot) {
  auto fast = backend(), exact = backend(1, Precision::exact);
  for (const Weight& w : {make_weight(F32, 64, 16, 1), make_weight(BF16, 64, 16, 1), make_weight(Q4_0, 64, 17, 1),
                          make_weight(Q8_0, 64, 8, 1, 2), make_weight(TQ2_0, 256, 16, 1)}) {
    EXPECT_EQ(fast->repack(w.tensor), nullptr) << type_name(w.tensor.type);
    EXPECT_EQ(fast->repacked_bytes(w.tensor), 0u) << type_name(w.tensor.type);
  }
  const Weight w = make_weight(Q4_0, 64, 16, 1);
  EXPECT_EQ(exact->repack(w.tensor), nullptr);
  EXPECT_EQ(fast->repacked_bytes(w.tensor), w.bytes.size());
}

TEST_P(Matmul, SeveralWeightsShareOneInput) {
  auto cpu = backend(2);
  const int64_t k = 256, n_tokens = 5;
  const Weight a = make_weight(Q8_0, k, 33, 1), b = make_weight(F16, k, 7, 2),
               c = make_weight(Q4_0, k, 50, 3), d = make_weight(BF16, k, 9, 5);
  const std::vector<float> x = gaussian(static_cast<size_t>(k * n_tokens), 4);
  // a and c write the two parts of one wider row.
  std::vector<float> wide(static_cast<size_t>(n_tokens * 83)), narrow(static_cast<size_t>(n_tokens * 7)),
      last(static_cast<size_t>(n_tokens * 9));
  const Product products[] = {
      {&a.tensor, wide.data(), 83}, {&b.tensor, narrow.data(), 7}, {&c.tensor, wide.data() + 33, 83}, {&d.tensor, last.data(), 9}};
  cpu->matmul(products, x.data(), n_tokens);
  const auto want_a = multiply(*cpu, a.tensor, x.data(), n_tokens),
             want_c = multiply(*cpu, c.tensor, x.data(), n_tokens);
  EXPECT_TRUE(same_bits(narrow, multiply(*cpu, b.tensor, x.data(), n_tokens)));
  EXPECT_TRUE(same_bits(last, multiply(*cpu, d.tensor, x.data(), n_tokens)));
  for (int64_t t = 0; t < n_tokens; ++t) {
    EXPECT_TRUE(same_bits(wide.data() + t * 83, want_a.data() + t * 33, 33));
    EXPECT_TRUE(same_bits(wide.data() + t * 83 + 33, want_c.data() + t * 50, 50));
  }
}

TEST_P(Matmul, NoTokensIsNothing) {
  auto cpu = backend(2);
  const Weight w = make_weight(Q8_0, 64, 16, 1);
  const Product product{&w.tensor, nullptr, 16};
  cpu->matmul({&product, 1}, nullptr, 0);
  cpu->matmul({}, nullptr, 4);
}

TEST_P(Matmul, ActivationsThatAreZeroTinyOrNotFinite) {
  auto fast = backend();
  const Weight w = make_weight(Q8_0, 64, 16, 1);
  std::vector<float> x(5 * 64, 0.0f);
  x[64] = 1e-38f;             // token 1: too small to round, must not become garbage
  x[2 * 64 + 40] = INFINITY;  // token 2
  x[3 * 64 + 3] = NAN;        // token 3
  for (size_t i = 0; i < 64; ++i) x[4 * 64 + i] = i % 2 == 0 ? 1e34f : -1e34f;  // token 4: large but finite
  const std::vector<float> out = multiply(*fast, w.tensor, x.data(), 5);
  for (size_t r = 0; r < 16; ++r) {
    EXPECT_EQ(out[r], 0);
    EXPECT_NEAR(out[16 + r], 0, 1e-37);
    EXPECT_TRUE(std::isnan(out[2 * 16 + r]));
    EXPECT_TRUE(std::isnan(out[3 * 16 + r]));
    EXPECT_TRUE(std::isfinite(out[4 * 16 + r]));
  }
}

// The largest sums that a block can make, of either sign: where they are gathered in few bits, they must fit. Bytes of
// blocks are all ones or all zeros wherever the block's values stay sane.
TEST_P(Matmul, ExtremeCodesAtFullActivations) {
  auto fast = backend();
  const int64_t k = 512, n_rows = 16, n_tokens = 6;
  std::vector<float> x(static_cast<size_t>(k * n_tokens));
  for (int64_t t = 0; t < n_tokens; ++t)
    for (int64_t i = 0; i < k; ++i) {
      const bool negative = t % 3 == 0 ? t >= 3 : t % 3 == 1 ? i % 4 / 2 == t / 3 : i % 32 / 16 == t / 3;
      x[static_cast<size_t>(t * k + i)] = negative ? -1.0f : 1.0f;
    }
  for (const TensorType type : with_codec({std::begin(kIntegerTypes), std::end(kIntegerTypes)})) {
    const Codec& codec = codec_of(type);
    const TypeInfo& info = type_info(type);
    Weight w = make_weight(type, k, n_rows, 5);
    std::vector<float> decoded(info.block_length);
    for (size_t b = 0; b < w.bytes.size(); b += info.block_bytes)
      for (size_t i = 0; i < info.block_bytes; ++i) {
        const std::byte before = w.bytes[b + i];
        const size_t row = b / row_bytes(type, k);
        w.bytes[b + i] = row % 4 == 0 ? std::byte{0} : row % 4 == 1 ? std::byte{0xff} : before;
        if (row % 4 >= 2) w.bytes[b + i] = i % 2 == row % 2 ? std::byte{0x0f} : std::byte{0xf0};
        codec.decode(w.bytes.data() + b, info.block_length, decoded.data());
        if (!std::ranges::all_of(decoded, [](float v) { return std::fabs(v) < 1e3f; })) w.bytes[b + i] = before;
      }
    codec.decode(w.bytes.data(), k * n_rows, w.values.data());
    expect_product(w, widen(x).data(), n_tokens, multiply(*fast, w.tensor, x.data(), n_tokens),
                   std::string(type_name(type)), false);
  }
}

// With scales of one every partial sum is an integer that a float holds, so all ISAs must agree to the last
// bit: the integer dots are the same.
TEST(MatmulAcrossIsas, IntegerDotsAgree) {
  for (const TensorType type : with_codec({std::begin(kIntegerTypes), std::end(kIntegerTypes)})) {
    const int64_t k = 512, n_rows = 35, n_tokens = 9;
    Weight w = make_weight(type, k, n_rows, 3);
    Random random(4);
    std::vector<float> x(static_cast<size_t>(k * n_tokens));
    for (size_t i = 0; i < x.size(); ++i)
      x[i] = i % 32 == 5 ? 127.0f : static_cast<float>(random.below(255) - 127);
    std::vector<float> first;
    double largest = 0;
    for (const Isa* isa : supported_isas()) {
      CpuBackend cpu(*isa, {});
      const std::vector<float> out = multiply(cpu, w.tensor, x.data(), n_tokens);
      if (first.empty()) first = out;
      for (const float v : first) largest = std::max(largest, std::fabs(double{v}));
      if (type == Q8_0 || type == Q4_0) continue;
      for (size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], first[i], 1e-5 * largest) << isa->name;
    }
    ASSERT_GT(largest, 0);
  }
  // Q8_0 with d = 1 and all values, the extremes -128 and 127 included.
  const int64_t k = 512, n_rows = 16;
  std::vector<std::byte> bytes(static_cast<size_t>(n_rows) * row_bytes(Q8_0, k));
  Random random(6);
  for (size_t i = 0; i < bytes.size(); ++i) {
    const size_t at = i % 34;
    bytes[i] = at == 0 ? std::byte{0} : at == 1 ? std::byte{0x3c} : static_cast<std::byte>(random.bits());
    if (at >= 2 && at < 18 && i / 34 % 2 == 0) bytes[i] = std::byte{0x80};
  }
  const Tensor weight{"", Q8_0, {k, n_rows, 1, 1}, bytes.data()};
  std::vector<float> x(static_cast<size_t>(3 * k), 127.0f);
  for (size_t i = static_cast<size_t>(k); i < x.size(); ++i)
    x[i] = i % 32 == 0 ? -127.0f : static_cast<float>(random.below(255) - 127);
  for (const Isa* isa : supported_isas()) {
    CpuBackend cpu(*isa, {});
    const std::vector<float> out = multiply(cpu, weight, x.data(), 3);
    for (int64_t t = 0; t < 3; ++t)
      for (int64_t r = 0; r < n_rows; ++r) {
        int64_t sum = 0;
        for (int64_t i = 0; i < k; ++i) {
          const std::byte* block = weight.row(r) + i / 32 * 34;
          sum += static_cast<int8_t>(block[2 + i % 32]) *
                 static_cast<int64_t>(x[static_cast<size_t>(t * k + i)]);
        }
        ASSERT_EQ(out[static_cast<size_t>(t * n_rows + r)], static_cast<float>(sum)) << isa->name;
      }
  }
}

TEST(MatmulAcrossIsas, VectorIsasGiveTheSameBits) {
  std::vector<const Isa*> vector_isas = supported_isas();
  std::erase_if(vector_isas, [](const Isa* isa) { return isa->name == "scalar"; });
  if (vector_isas.size() < 2) GTEST_SKIP() << "one vector ISA on this machine";
  CpuBackend first(*vector_isas[0], {});
  for (const Codec& codec : codecs()) {
    const Weight w = make_weight(codec.type, 768, 35, 3);
    const std::vector<float> x = gaussian(768 * 9, 4);
    const std::vector<float> want = multiply(first, w.tensor, x.data(), 9);
    for (const Isa* isa : vector_isas) {
      if (rounds_to_bf16(*isa, w.tensor)) continue;
      CpuBackend cpu(*isa, {});
      EXPECT_TRUE(same_bits(want, multiply(cpu, w.tensor, x.data(), 9))) << isa->name << type_name(codec.type);
    }
  }
}

}  // namespace
}  // namespace carat::kernels_test
