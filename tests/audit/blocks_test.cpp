// Broken blocks of every type, what Q4_0 codes tell, and the scan of whole tensors.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "audit/block_check.h"
#include "audit/q4_0_codes.h"
#include "audit/tensor_scan.h"
#include "base/progress.h"
#include "base/random.h"
#include "quant/codec.h"
#include "tensor/float_formats.h"

namespace carat {
namespace {

std::vector<std::byte> encoded(TensorType type, const std::vector<float>& values,
                               const float* importance = nullptr) {
  std::vector<std::byte> bytes(row_bytes(type, static_cast<int64_t>(values.size())));
  codec_of(type).encode(values.data(), static_cast<int64_t>(values.size()), importance, bytes.data());
  return bytes;
}

std::vector<float> gaussian(size_t n, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(n);
  for (float& v : values) v = static_cast<float>(0.02 * random.normal());
  return values;
}

// n values in blocks: Gaussian ones, or for formats without an encoder random codes under a scale.
std::vector<std::byte> healthy_blocks(const Codec& codec, int64_t n) {
  const std::vector<float> values = gaussian(static_cast<size_t>(n), 1);
  if (codec.encode != nullptr) return encoded(codec.type, values);
  std::vector<std::byte> bytes(row_bytes(codec.type, n));
  Random random(1);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.below(256));
  for (size_t at = 0; at < bytes.size(); at += type_info(codec.type).block_bytes)
    codec.set_scale(0.02f, bytes.data() + at);
  return bytes;
}

bool decodes_finite(TensorType type, const std::vector<std::byte>& bytes, int64_t n) {
  std::vector<float> values(static_cast<size_t>(n));
  codec_of(type).decode(bytes.data(), n, values.data());
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

// Every place where an infinity in the bytes makes the decoder give one is found, in the right block.
TEST(BlockCheck, AgreesWithTheDecoders) {
  constexpr int64_t kColumns = 1024;
  for (const Codec& codec : codecs()) {
    const std::vector<std::byte> healthy = healthy_blocks(codec, kColumns);
    const auto n_blocks = kColumns / std::max<int64_t>(32, type_info(codec.type).block_length);
    BlockCounts counts = check_blocks(codec.type, kColumns, healthy);
    EXPECT_EQ(counts.n_not_finite, 0) << type_name(codec.type);
    EXPECT_EQ(counts.n_zero, 0);
    for (size_t at = 0; at + 2 <= healthy.size(); at += codec.type == TensorType::F32 ? 4 : 1) {
      std::vector<std::byte> bytes = healthy;
      const uint32_t infinity = codec.type == TensorType::F32    ? 0x7f800000u
                                : codec.type == TensorType::BF16 ? 0x7f80u
                                                                 : 0x7c00u;
      std::memcpy(bytes.data() + at, &infinity, codec.type == TensorType::F32 ? 4 : 2);
      if (decodes_finite(codec.type, bytes, kColumns)) continue;
      counts = check_blocks(codec.type, kColumns, bytes);
      ASSERT_GE(counts.n_not_finite, 1) << type_name(codec.type) << " byte " << at;
      const auto block = static_cast<int64_t>(at * static_cast<size_t>(n_blocks) / healthy.size());
      EXPECT_EQ(counts.first_not_finite, block) << type_name(codec.type) << " byte " << at;
    }
  }
}

TEST(BlockCheck, MXFP4Exponent) {
  std::vector<std::byte> bytes = encoded(TensorType::MXFP4, gaussian(64, 2));
  bytes[17] = std::byte{255};
  const BlockCounts counts = check_blocks(TensorType::MXFP4, 64, bytes);
  EXPECT_EQ(counts.n_not_finite, 1);
  EXPECT_EQ(counts.first_not_finite, 1);
}

TEST(BlockCheck, ZerosAndTails) {
  EXPECT_EQ(check_blocks(TensorType::Q4_0, 64, encoded(TensorType::Q4_0, std::vector<float>(64))).n_zero, 2);
  EXPECT_EQ(check_blocks(TensorType::Q6_K, 256, encoded(TensorType::Q6_K, std::vector<float>(256))).n_zero,
            1);
  // Rows that are no multiple of 32: their ends are looked at, too.
  std::vector<float> values(3 * 33, 1.0f);
  values[33 + 32] = std::numeric_limits<float>::quiet_NaN();
  const auto bytes = std::as_bytes(std::span(values.data(), values.size()));
  const BlockCounts counts = check_blocks(TensorType::F32, 33, bytes);
  EXPECT_EQ(counts.n_blocks, 6);
  EXPECT_EQ(counts.n_not_finite, 1);
  EXPECT_EQ(counts.first_not_finite, 3);
  EXPECT_EQ(check_blocks(TensorType::F32, 33, {}).n_blocks, 0);
  EXPECT_EQ(check_blocks(TensorType::Q4_0, 32, bytes.first(17)).n_blocks, 0);
}

TEST(BlockCheck, ZeroPages) {
  std::vector<std::byte> bytes(5 * kPage + 100, std::byte{1});
  EXPECT_EQ(count_zero_pages(bytes), 0u);
  std::fill(bytes.begin() + kPage, bytes.begin() + 3 * kPage, std::byte{0});
  EXPECT_EQ(count_zero_pages(bytes), 2 * kPage);
  bytes[2 * kPage - 1] = std::byte{1};
  EXPECT_EQ(count_zero_pages(bytes), kPage);
  EXPECT_EQ(count_zero_pages({}), 0u);
}

// Values on lattices of which each block's extreme has the code `extreme`, all other codes as ordinary
// weights would have them.
std::vector<float> on_lattice(int extreme, size_t n_blocks, uint64_t seed) {
  Random random(seed);
  std::vector<float> values;
  for (size_t b = 0; b < n_blocks; ++b) {
    const double scale = std::exp(0.3 * random.normal() - 5);
    std::vector<double> x(32);
    for (double& v : x) v = random.normal();
    const double largest = std::abs(
        *std::max_element(x.begin(), x.end(), [](double a, double c) { return std::abs(a) < std::abs(c); }));
    for (const double v : x)
      values.push_back(
          bf16_to_f32(f32_to_bf16(static_cast<float>(scale * std::nearbyint(v / largest * extreme)))));
  }
  return values;
}

Q4_0Codes codes_of(const std::vector<float>& values, const float* importance = nullptr) {
  return count_q4_0_codes(encoded(TensorType::Q4_0, values, importance));
}

std::vector<float> drawn(const std::string& distribution, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(32 * 5000);
  for (float& v : values) {
    const double u = random.uniform() - 0.5;
    if (distribution == "normal") v = static_cast<float>(random.normal());
    if (distribution == "uniform") v = static_cast<float>(u);
    if (distribution == "laplace") v = static_cast<float>((u < 0 ? -1 : 1) * std::log(1 - 2 * std::abs(u)));
    if (distribution == "heavy")
      v = static_cast<float>(random.normal() /
                             std::sqrt((std::pow(random.normal(), 2) + std::pow(random.normal(), 2) +
                                        std::pow(random.normal(), 2)) /
                                       3));
    if (distribution == "skewed") v = static_cast<float>(random.normal() + 0.7);
  }
  return values;
}

TEST(Q4_0Codes, OrdinaryWeights) {
  for (const std::string distribution : {"normal", "uniform", "laplace", "heavy", "skewed"}) {
    const Q4_0Codes codes = codes_of(drawn(distribution, 3));
    EXPECT_EQ(codes.n_blocks, 5000) << distribution;
    EXPECT_EQ(codes.n_with_minus_8, codes.n_blocks) << distribution;
    EXPECT_LT(codes.rederived_share(), 0.03) << distribution;
    EXPECT_EQ(origin_of(codes), ScaleOrigin::reference) << distribution;
  }
}

TEST(Q4_0Codes, ADamagedLatticeShows) {
  for (const int extreme : {5, 6, 7}) {
    const Q4_0Codes codes = codes_of(on_lattice(extreme, 5000, 4));
    EXPECT_GT(codes.rederived_share(), 0.7) << extreme;
    EXPECT_EQ(origin_of(codes), ScaleOrigin::rederived) << extreme;
  }
  const Q4_0Codes kept = codes_of(on_lattice(8, 5000, 5));
  EXPECT_LT(kept.rederived_share(), 0.03);
  EXPECT_EQ(origin_of(kept), ScaleOrigin::reference) << "nothing was lost, so nothing shows";
}

// It is a lower bound, and follows the share.
TEST(Q4_0Codes, MixturesAreBoundedFromBelow) {
  for (const double share : {0.2, 0.5, 0.8}) {
    const auto n = static_cast<size_t>(5000 * share);
    std::vector<float> values = on_lattice(7, n, 6);
    const std::vector<float> others = on_lattice(8, 5000 - n, 7);
    values.insert(values.end(), others.begin(), others.end());
    const double found = codes_of(values).rederived_share();
    EXPECT_LE(found, share + 0.02);
    EXPECT_GE(found, 0.7 * share);
  }
}

TEST(Q4_0Codes, SearchedScales) {
  const std::vector<float> values = gaussian(32 * 5000, 8);
  std::vector<float> importance(values.size());
  Random random(9);
  for (float& weight : importance) weight = static_cast<float>(std::exp(random.normal()));
  EXPECT_EQ(origin_of(codes_of(values, importance.data())), ScaleOrigin::searched);
}

// Blocks as a converter makes them that keeps the trained codes and scale.
TEST(Q4_0Codes, KeptLattices) {
  Random random(10);
  std::vector<std::byte> blocks;
  for (int b = 0; b < 5000; ++b) {
    const uint16_t scale = f32_to_f16(0.01f);
    blocks.push_back(static_cast<std::byte>(scale & 255));
    blocks.push_back(static_cast<std::byte>(scale >> 8));
    for (int i = 0; i < 16; ++i) {
      const auto code = [&] {
        return static_cast<unsigned>(std::clamp(std::nearbyint(3 * random.normal()), -7.0, 7.0) + 8);
      };
      blocks.push_back(static_cast<std::byte>(code() | code() << 4));
    }
  }
  const Q4_0Codes codes = count_q4_0_codes(blocks);
  EXPECT_EQ(codes.n_blocks, 5000);
  EXPECT_EQ(codes.n_with_minus_8, 0);
  EXPECT_EQ(codes.n_negative_scales, 0);
  EXPECT_EQ(origin_of(codes), ScaleOrigin::own);
}

// Counted in words of sixteen codes, against one code after the other.
TEST(Q4_0Codes, CountsAreRight) {
  Random random(11);
  for (int trial = 0; trial < 2000; ++trial) {
    std::vector<std::byte> block(18);
    std::array<bool, 16> has{};
    const uint64_t spread = 1 + static_cast<uint64_t>(random.below(16));
    for (size_t i = 2; i < 18; ++i) {
      const auto low = static_cast<unsigned>(random.below(static_cast<int64_t>(spread))),
                 high = 15u - static_cast<unsigned>(random.below(static_cast<int64_t>(spread)));
      has[low] = has[high] = true;
      block[i] = static_cast<std::byte>(low | high << 4);
    }
    block[1] = std::byte{0x3c};
    const Q4_0Codes codes = count_q4_0_codes(block);
    EXPECT_EQ(codes.n_with_minus_8, has[0]);
    EXPECT_EQ(codes.n_with_minus_7, !has[0] && has[1]);
    for (size_t m = 1; has[0] && m < 7; ++m) EXPECT_EQ(codes.n_without[m], !has[8 - m] && !has[8 + m]) << m;
  }
}

TEST(Q4_0Codes, NothingToSay) {
  EXPECT_EQ(Q4_0Codes().rederived_share(), 0);
  EXPECT_EQ(origin_of(Q4_0Codes()), ScaleOrigin::too_few);
  EXPECT_EQ(origin_of(codes_of(on_lattice(7, 999, 12))), ScaleOrigin::too_few);
  EXPECT_EQ(count_q4_0_codes(std::vector<std::byte>(18 * 7)).n_blocks, 0) << "zeros";
}

// Several tensors of several types and sizes: the same counts with any number of threads, and those of each
// tensor alone.
TEST(TensorScan, DoesNotDependOnThreads) {
  struct Made {
    std::string name;
    std::vector<std::byte> bytes;
    Tensor tensor;
  };
  std::vector<Made> made;
  made.reserve(8);
  const auto add = [&](const char* name, TensorType type, int64_t n_columns, int64_t n_rows) {
    std::vector<float> values = gaussian(static_cast<size_t>(n_columns * n_rows), 13 + made.size());
    std::vector<std::byte> bytes(row_bytes(type, n_columns) * static_cast<uint64_t>(n_rows));
    ThreadPool pool(1);
    encode_tensor(type, values.data(), n_columns, n_rows, nullptr, bytes.data(), pool);
    made.push_back({name, std::move(bytes), {}});
    made.back().tensor = {made.back().name, type, {n_columns, n_rows, 1, 1}, made.back().bytes.data()};
  };
  add("blk.0.attn_q.weight", TensorType::BF16, 1024, 1500);
  add("blk.0.attn_k.weight", TensorType::F16, 96, 31);
  add("blk.0.attn_v.weight", TensorType::F32, 33, 3);
  add("blk.0.ffn_up.weight", TensorType::Q4_0, 2048, 3000);
  add("blk.0.ffn_down.weight", TensorType::Q6_K, 256, 1);
  add("output_norm.weight", TensorType::F32, 1024, 1);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(made[0].bytes.data() + 2 * (1024 * 1400 + 5), reinterpret_cast<const char*>(&nan) + 2, 2);
  std::vector<Tensor> tensors;
  for (const Made& m : made) tensors.push_back(m.tensor);
  std::vector<std::vector<TensorScan>> results;
  for (const int n_threads : {1, 2, 5}) {
    ThreadPool pool(n_threads);
    uint64_t done = 0;
    results.push_back(scan_tensors(tensors, pool, [&](uint64_t n) { done = n; }));
    uint64_t total = 0;
    for (const Tensor& tensor : tensors) total += tensor.n_bytes();
    EXPECT_EQ(done, total);
  }
  for (const auto& scans : results) {
    ASSERT_EQ(scans.size(), tensors.size());
    for (size_t t = 0; t < tensors.size(); ++t) {
      const BlockCounts whole = check_blocks(tensors[t].type, tensors[t].n_columns(), tensors[t].bytes());
      EXPECT_EQ(scans[t].blocks.n_blocks, whole.n_blocks);
      EXPECT_EQ(scans[t].blocks.n_not_finite, whole.n_not_finite);
      EXPECT_EQ(scans[t].blocks.first_not_finite, whole.first_not_finite);
      EXPECT_EQ(scans[t].lattice.n_blocks, results[0][t].lattice.n_blocks);
      EXPECT_EQ(scans[t].codes.n_with_minus_8, results[0][t].codes.n_with_minus_8);
    }
  }
  EXPECT_EQ(results[0][0].blocks.first_not_finite, 1400 * 32);
  EXPECT_EQ(results[0][0].lattice.n_blocks, 1500 * 32);
  EXPECT_EQ(results[0][1].lattice.n_blocks, 31 * 3);
  EXPECT_EQ(results[0][2].lattice.n_blocks, 3) << "the 33rd column is in no block";
  EXPECT_EQ(results[0][3].codes.n_blocks, 2048 * 3000 / 32);
  EXPECT_EQ(results[0][5].lattice.n_blocks, 0) << "a norm";
}

TEST(TensorScan, NothingAndInterrupted) {
  ThreadPool pool(2);
  EXPECT_TRUE(scan_tensors({}, pool, {}).empty());
  std::vector<float> values(64, 1.0f);
  const Tensor tensor{"blk.0.attn_q.weight",
                      TensorType::F32,
                      {32, 2, 1, 1},
                      reinterpret_cast<const std::byte*>(values.data())};
  interrupt_requested = true;
  EXPECT_TRUE(scan_tensors({&tensor, 1}, pool, {}).empty());
  interrupt_requested = false;
  EXPECT_EQ(scan_tensors({&tensor, 1}, pool, {}).front().lattice.n_on_lattice, 2);
}

}  // namespace
}  // namespace carat
