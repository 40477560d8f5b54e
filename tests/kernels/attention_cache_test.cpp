// Every cache type: what a quantized cache computes is what an F32 cache computes that holds the decoded
// values, to the bit in exact precision; and caches with one vector for key and value compute what caches
// with both do.
#include <numeric>

#include "attention_support.h"

namespace carat::kernels_test {
namespace {

class AttentionCache : public PerIsa {};
CARAT_FOR_EACH_ISA(AttentionCache);

const CacheType kTypes[] = {F32,  F16,         BF16,        Q8_0,         Q5_0,        Q4_0,
                            Q4_1, {F16, Q4_0}, {Q8_0, F32}, {Q4_0, Q8_0}, {BF16, Q5_0}};

// Small heads and true ones; single, grouped and many queries a tile; rings and windows.
const AttentionShape kShapes[] = {{1, 1, 32, 0},  {8, 1, 64, 0},  {4, 2, 96, 0},  {6, 6, 32, 0},
                                  {33, 1, 32, 0}, {2, 1, 256, 7}, {8, 1, 256, 0}, {16, 8, 256, 9},
                                  {4, 2, 512, 0}, {16, 1, 512, 0}};

std::string name_of(const CacheType& type, const AttentionShape& shape) {
  return fmt::format("{}/{}, {} heads of {} on {}, window {}", type_name(type.k), type_name(type.v),
                     shape.n_heads, shape.head_dim, shape.n_kv_heads, shape.window);
}

// What the scores see of the queries in fast precision with a cache of blocks.
std::vector<float> rounded(const std::vector<float>& q) {
  const std::vector<double> values = rounded_to_int8(q.data(), static_cast<int64_t>(q.size()));
  return {values.begin(), values.end()};
}

std::vector<float> mixed(std::vector<float> values) {
  isas()[0].kernels->mix(values.data(), static_cast<int64_t>(values.size()));
  return values;
}

// through(), for cells that hold mixed values.
std::vector<float> through_mixed(TensorType type, const std::vector<float>& values, int64_t row_size) {
  if (type_info(type).block_length == 1) return through(type, values, row_size);
  return mixed(through(type, mixed(values), row_size));
}

class Hadamard : public PerIsa {};
CARAT_FOR_EACH_ISA(Hadamard);

TEST_P(Hadamard, IsTheMatrixOfSigns) {
  const std::vector<float> x = gaussian(128, 3);
  std::vector<float> y = x;
  resolve_kernels(isas(), static_cast<size_t>(GetParam() - isas().data())).mix(y.data(), 128);
  EXPECT_TRUE(same_bits(y, mixed(x)));
  for (size_t i = 0; i < 128; ++i) {
    double sum = 0;
    for (size_t j = 0; j < 64; ++j)
      sum += (std::popcount(i % 64 & j) % 2 == 0 ? 1 : -1) * double{x[i / 64 * 64 + j]};
    EXPECT_NEAR(y[i], sum / 8, 1e-6);
  }
}

TEST_P(AttentionCache, MixedCellsOfEveryType) {
  for (const Precision precision : {Precision::fast, Precision::exact}) {
    auto cpu = backend(2, precision);
    for (CacheType type : kTypes)
      for (const AttentionShape& shape : {AttentionShape{8, 1, 64, 0}, {4, 2, 128, 9}, {2, 2, 512, 0}}) {
        SCOPED_TRACE(name_of(type, shape));
        type.mixed = true;
        Problem p = make_problem(shape, 41, 8);
        const std::vector<float> out = run(*cpu, p, type, 41, {20, 21});
        if (shape.window > 0) {
          EXPECT_TRUE(same_bits(out, run(*cpu, p, type, 20, std::vector<int64_t>(41, 1))));
        }
        if (precision == Precision::fast && type_info(type.k).block_length > 1)
          p.q = mixed(rounded(mixed(p.q)));
        const auto k = through_mixed(type.k, p.k, p.kv_size()), v = through_mixed(type.v, p.v, p.kv_size());
        for (int64_t i = 0; i < p.n_positions; ++i) expect_attention(p, k, v, out, i);
        if (HasFatalFailure()) return;
      }
  }
}

// One value that stands out widens the steps of its block; mixed, it does not.
TEST_P(AttentionCache, MixingTamesOutliers) {
  auto cpu = backend(1, Precision::exact);
  Problem p = make_problem({4, 1, 64, 0}, 60, 9);
  for (size_t i = 5; i < p.v.size(); i += 64) p.v[i] *= 30, p.k[i] *= 30, p.q[i] /= 30;
  const std::vector<float> truth = run(*cpu, p, F32, 60, {60});
  const auto error = [&](bool is_mixed) {
    CacheType type(Q4_0);
    type.mixed = is_mixed;
    const std::vector<float> out = run(*cpu, p, type, 60, {60});
    double sum = 0;
    for (size_t i = 0; i < out.size(); ++i) sum += std::pow(double{out[i]} - truth[i], 2);
    return sum;
  };
  EXPECT_LT(error(true), 0.5 * error(false));
}

TEST_P(AttentionCache, EveryTypeAgainstPlainSoftmax) {
  for (const Precision precision : {Precision::fast, Precision::exact}) {
    auto cpu = backend(1, precision);
    for (const CacheType& type : kTypes)
      for (const AttentionShape& shape : kShapes) {
        SCOPED_TRACE(name_of(type, shape));
        Problem p = make_problem(shape, 23, 5);
        const std::vector<float> out = run(*cpu, p, type, 23, {23});
        if (precision == Precision::fast && type_info(type.k).block_length > 1) p.q = rounded(p.q);
        const auto k = through(type.k, p.k, p.kv_size()), v = through(type.v, p.v, p.kv_size());
        for (int64_t i = 0; i < p.n_positions; ++i) expect_attention(p, k, v, out, i);
        if (HasFatalFailure()) return;
      }
  }
}

TEST_P(AttentionCache, DecodedValuesAreTheCodecsToTheBit) {
  auto cpu = backend(1, Precision::exact);
  for (const CacheType& type : kTypes)
    for (const AttentionShape& shape : kShapes) {
      const Problem p = make_problem(shape, 41, 6);
      Problem decoded = p;
      decoded.k = through(type.k, p.k, p.kv_size()), decoded.v = through(type.v, p.v, p.kv_size());
      EXPECT_TRUE(same_bits(run(*cpu, p, type, 41, {41}), run(*cpu, decoded, F32, 41, {30, 11})))
          << name_of(type, shape);
      if (shape.window > 0) {
        EXPECT_TRUE(
            same_bits(run(*cpu, p, type, 20, std::vector<int64_t>(41, 1)), run(*cpu, decoded, F32, 41, {41})))
            << name_of(type, shape);
      }
    }
}

// Blocks with every code, and scales of zero, subnormal, huge and both signs.
TEST_P(AttentionCache, EveryCodeOfABlock) {
  auto cpu = backend(1, Precision::exact);
  for (const TensorType type : {Q8_0, Q5_0, Q4_0}) {
    const int64_t n = 256, dim = 32;
    const size_t block_bytes = row_bytes(type, dim);
    Cache cache = make_cache(type, n, dim);
    for (size_t i = 0; i < cache.v.size(); ++i)
      cache.v[i] = static_cast<std::byte>(i % block_bytes < 2 ? 0 : (i * 37 + i / block_bytes) & 255);
    const uint16_t scales[] = {0x3c00, 0xbc00, 0x0000, 0x8000, 0x0001, 0x2e66, 0x6000, 0x83ff};
    for (int64_t cell = 0; cell < n; ++cell)
      std::memcpy(cache.v.data() + static_cast<size_t>(cell) * block_bytes, &scales[cell % 8], 2);
    std::vector<float> values(static_cast<size_t>(n * dim));
    codec_of(type).decode(cache.v.data(), n * dim, values.data());
    Cache plain = make_cache(F32, n, dim);
    std::memcpy(plain.v.data(), values.data(), plain.v.size());
    const std::vector<float> q = gaussian(static_cast<size_t>(dim), 3);
    std::vector<float> out(q.size()), want(q.size());
    // One position at a time: the output is the value itself.
    for (int64_t cell = 0; cell < n; ++cell) {
      const Segment one{0, 1, cell, cache.view}, other{0, 1, cell, plain.view};
      cpu->attention({&one, 1}, {1, 1, dim, 1}, q.data(), out.data());
      cpu->attention({&other, 1}, {1, 1, dim, 1}, q.data(), want.data());
      ASSERT_TRUE(same_bits(out, want)) << type_name(type) << " cell " << cell;
      for (int64_t i = 0; i < dim; ++i)  // but for the sign of zeros
        ASSERT_EQ(out[static_cast<size_t>(i)], values[static_cast<size_t>(cell * dim + i)])
            << type_name(type) << " cell " << cell << " value " << i;
    }
  }
}

TEST_P(AttentionCache, StoresWhatTheCodecEncodes) {
  auto cpu = backend(2);
  for (const CacheType& type : kTypes) {
    const int64_t row_size = 96, n = 50, n_cells = 64, position = 40;  // wraps
    const std::vector<float> k = gaussian(static_cast<size_t>(n * row_size), 1),
                             v = gaussian(static_cast<size_t>(n * row_size), 2);
    Cache cache = make_cache(type, n_cells, row_size);
    const Segment segment{0, n, position, cache.view};
    cpu->store_kv({&segment, 1}, k.data(), v.data(), row_size);
    for (int64_t i = 0; i < n; ++i)
      for (const bool keys : {true, false}) {
        const TensorType t = keys ? type.k : type.v;
        std::vector<std::byte> want(row_bytes(t, row_size));
        codec_of(t).encode((keys ? k : v).data() + i * row_size, row_size, nullptr, want.data());
        const std::byte* cell =
            (keys ? cache.k : cache.v).data() + static_cast<size_t>((position + i) % n_cells) * want.size();
        ASSERT_EQ(std::memcmp(cell, want.data(), want.size()), 0) << type_name(t) << " row " << i;
      }
  }
}

// A layer whose values are its raw keys. Some pairs turn, the others do not.
struct OneVector {
  static constexpr int64_t kHeads = 8, kKvHeads = 2, kPositions = 300;
  int64_t dim, n_turning;
  std::vector<float> norm, frequencies;
  std::vector<int32_t> positions = std::vector<int32_t>(kPositions);
  Rope rope;
  KeyRule rule;
  Problem both;  // keys and values as they are stored side by side
  Problem one;   // the same without keys

  OneVector(CpuBackend& cpu, int64_t head_dim, int64_t n_pairs)
      : dim(head_dim), n_turning(n_pairs), norm(gaussian(static_cast<size_t>(dim), 32)) {
    frequencies.resize(static_cast<size_t>(dim / 2));
    for (size_t i = 0; i < static_cast<size_t>(n_turning); ++i)
      frequencies[i] = static_cast<float>(std::pow(1000.0, -static_cast<double>(i) / 32));
    std::iota(positions.begin(), positions.end(), 0);
    rope = {frequencies};
    rule = {norm.data(), &rope};
    both = make_problem({kHeads, kKvHeads, dim, 0}, kPositions, 33);
    const std::vector<float> raw = both.k;
    cpu.norm_rope(both.k.data(), kPositions, kKvHeads, dim, norm.data(), 1e-6f, &rope, positions.data());
    cpu.rms_norm(raw.data(), nullptr, kPositions * kKvHeads, dim, 1e-6f, both.v.data());
    one = both;
    one.k.assign(one.k.size(), NAN);  // never read
    one.shape.key_rule = &rule;
  }
  OneVector(const OneVector&) = delete;

  bool turns(int64_t i) const { return i % (dim / 2) < n_turning; }

  // Keys that follow from values u, in double. Where `normed` is off, only those that turn.
  std::vector<float> keys(const std::vector<float>& u, bool normed) const {
    std::vector<float> k = u;
    for (size_t head = 0; head < k.size(); head += static_cast<size_t>(dim))
      for (int64_t i = 0; i < dim / 2; ++i) {
        if (!turns(i) && !normed) continue;
        float *a = k.data() + head + i, *b = a + dim / 2;
        const double x = double{*a} * double{norm[static_cast<size_t>(i)]};
        const double y = double{*b} * double{norm[static_cast<size_t>(i + dim / 2)]};
        const double position = static_cast<double>(static_cast<int64_t>(head) / (dim * kKvHeads));
        const double angle = position * double{frequencies[static_cast<size_t>(i)]};
        *a = static_cast<float>(x * std::cos(angle) - y * std::sin(angle));
        *b = static_cast<float>(x * std::sin(angle) + y * std::cos(angle));
      }
    return k;
  }

  // Queries whose norm was taken in and which were rounded to 8 bits where no pair turns.
  std::vector<float> split_queries(bool is_mixed) const {
    std::vector<float> q = both.q, rest = both.q;
    for (size_t i = 0; i < q.size(); ++i)
      rest[i] = turns(static_cast<int64_t>(i) % dim) ? 0 : q[i] * norm[i % static_cast<size_t>(dim)];
    rest = is_mixed ? mixed(rounded(mixed(rest))) : rounded(rest);
    for (size_t i = 0; i < q.size(); ++i)
      if (!turns(static_cast<int64_t>(i) % dim)) q[i] = rest[i];
    return q;
  }
};

CacheType one_vector(TensorType type) {
  CacheType cache(type);
  cache.has_keys = false;
  return cache;
}

TEST_P(AttentionCache, OneVectorInF32IsBothToTheBit) {
  for (const Precision precision : {Precision::fast, Precision::exact})
    for (const auto& [dim, n_turning] : {std::pair<int64_t, int64_t>{64, 13}, {128, 32}, {64, 32}, {40, 0}}) {
      auto cpu = backend(2, precision);
      const OneVector layer(*cpu, dim, n_turning);
      const std::vector<float> want = run(*cpu, layer.both, F32, 300, {300});
      EXPECT_TRUE(same_bits(want, run(*cpu, layer.one, one_vector(F32), 300, {300}))) << n_turning;
      EXPECT_TRUE(same_bits(want, run(*cpu, layer.one, one_vector(F32), 300, {150, 1, 1, 148}))) << n_turning;
    }
}

TEST_P(AttentionCache, OneVectorOfEveryType) {
  for (const Precision precision : {Precision::fast, Precision::exact}) {
    auto cpu = backend(2, precision), alone = backend(1, precision);
    for (const auto& [dim, n_turning] : {std::pair<int64_t, int64_t>{64, 13}, {128, 32}, {512, 64}}) {
      const OneVector layer(*cpu, dim, n_turning);
      for (const TensorType type : {F16, BF16, Q8_0, Q5_0, Q4_0, Q4_1})
        for (const bool is_mixed : {false, true}) {
          SCOPED_TRACE(
              fmt::format("{}, {} of {} pairs, mixed {}", type_name(type), n_turning, dim / 2, is_mixed));
          CacheType cache = one_vector(type);
          cache.mixed = is_mixed;
          const std::vector<float> out = run(*cpu, layer.one, cache, 300, {299, 1});
          const std::vector<float>& v = layer.both.v;
          const int64_t row_size = layer.both.kv_size();
          const std::vector<float> u =
              is_mixed ? through_mixed(type, v, row_size) : through(type, v, row_size);
          const bool split = precision == Precision::fast && type_info(type).block_length > 1 &&
                             n_turning % (is_mixed ? 64 : 32) == 0;
          Problem p = layer.both;
          if (split) p.q = layer.split_queries(is_mixed);
          const std::vector<float> k = layer.keys(u, !split);
          for (const int64_t i : {0, 17, 255, 256, 298, 299}) expect_attention(p, k, u, out, i);
          EXPECT_TRUE(same_bits(out, run(*alone, layer.one, cache, 320, std::vector<int64_t>(300, 1))));
          if (HasFatalFailure()) return;
        }
    }
  }
}

// A call may hold sequences of both kinds, and another rope replaces the angles.
TEST_P(AttentionCache, OneVectorBesideBothAndOtherAngles) {
  auto cpu = backend(1);
  const OneVector layer(*cpu, 64, 13);
  const std::vector<float> want = run(*cpu, layer.both, F32, 300, {300});
  Cache both = make_cache(F32, 300, layer.both.kv_size()),
        one = make_cache(one_vector(F32), 300, layer.both.kv_size());
  const Segment store_both{0, 300, 0, both.view}, store_one{0, 300, 0, one.view};
  cpu->store_kv({&store_both, 1}, layer.both.k.data(), layer.both.v.data(), layer.both.kv_size());
  cpu->store_kv({&store_one, 1}, nullptr, layer.both.v.data(), layer.both.kv_size());
  const std::vector<float> other_frequencies(32, 0.5f);
  const Rope other_rope{other_frequencies};
  const KeyRule other{layer.norm.data(), &other_rope};
  std::vector<float> out(want.size());
  AttentionShape shape = layer.one.shape;
  shape.key_rule = &other;
  cpu->attention({&store_one, 1}, shape, layer.one.q.data(), out.data());
  EXPECT_FALSE(same_bits(want, out));
  const int64_t size = layer.both.q_size();
  const Segment segments[] = {{0, 1, 299, both.view}, {1, 1, 299, one.view}};
  std::vector<float> q(layer.one.q.end() - size, layer.one.q.end());
  q.insert(q.end(), layer.one.q.end() - size, layer.one.q.end());
  out.resize(q.size());
  cpu->attention(segments, layer.one.shape, q.data(), out.data());
  const size_t n = static_cast<size_t>(size);
  EXPECT_TRUE(same_bits(out.data(), want.data() + want.size() - n, n));
  EXPECT_TRUE(same_bits(out.data() + n, want.data() + want.size() - n, n));
}

}  // namespace
}  // namespace carat::kernels_test
