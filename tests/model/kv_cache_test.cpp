// Caches of every type under the whole network: one vector for key and value, truncation and pieces of a
// prompt, and what a cache costs in memory.
#include "model/kv_cache.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/memory.h"
#include "base/random.h"
#include "fake_file.h"
#include "model/forward.h"
#include "model/synth.h"

namespace carat {
namespace {

using enum TensorType;

const KvType kTypes[] = {F32, F16, BF16, Q8_0, Q5_0, Q4_0, {Q8_0, Q4_0}, {F16, Q8_0}};

// Heads of whole blocks; on full layers 32 of 128 pairs turn.
Config with_wide_heads(Config config) {
  for (LayerConfig& layer : config.layers) layer.head_dim = layer.sliding ? 32 : 256;
  return config;
}

std::vector<Config> configs() {
  return {with_wide_heads(tiny_ple_config()), with_wide_heads(tiny_dense_config()),
          with_wide_heads(tiny_moe_config())};
}

std::shared_ptr<const Model> make_model(const Config& config) {
  const auto path =
      std::filesystem::temp_directory_path() / fmt::format("carat_kv_{}.gguf", static_cast<int>(::getpid()));
  synthesize(config, {.matrix_type = F32, .embedding_type = F32, .seed = 5}, path.string()).take();
  auto model = open_model(path.string()).take();
  std::filesystem::remove(path);  // the mapping stays
  return model;
}

std::vector<Token> random_tokens(int64_t n, const Config& config, uint64_t seed) {
  Random random(seed);
  std::vector<Token> tokens;
  for (int64_t i = 0; i < n; ++i) tokens.push_back(static_cast<Token>(random.below(config.n_vocab)));
  return tokens;
}

struct Engine {
  std::shared_ptr<const Model> model;
  std::unique_ptr<Backend> backend;
  Forward forward;

  Engine(std::shared_ptr<const Model> the_model, Precision precision, int n_threads = 1)
      : model(std::move(the_model)),
        backend(make_cpu_backend({.n_threads = n_threads, .precision = precision}).take()),
        forward(Forward::create(model, *backend, {.max_rows = 64}).take()) {}

  KvCache cache(KvType type, bool one_vector = true, int64_t max_batch = 64, int64_t n_positions = 200) {
    return KvCache::create(
               model->config,
               {.n_positions = n_positions, .max_batch = max_batch, .type = type, .one_vector = one_vector},
               *backend)
        .take();
  }

  // Logits after the tokens, which continue the cache in pieces of this size.
  std::vector<float> feed(KvCache& cache, std::span<const Token> tokens, size_t piece = 64) {
    std::span<const float> hidden;
    for (size_t at = 0; at < tokens.size(); at += piece) {
      const Chunk chunk{&cache, tokens.subspan(at, std::min(piece, tokens.size() - at))};
      hidden = forward.run({&chunk, 1}, Rows::last);
    }
    std::vector<float> logits(static_cast<size_t>(model->config.n_vocab));
    forward.logits(hidden, 1, logits.data());
    return logits;
  }
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  int64_t n = 0;
  for (size_t i = 0; i < a.size(); ++i)
    if (std::isfinite(a[i]) || std::isfinite(b[i])) sum += std::fabs(double{a[i]} - double{b[i]}), ++n;
  return sum / static_cast<double>(n);
}

TEST(KvCacheTypes, OneVectorInF32ChangesNoBit) {
  for (const Config& config : configs())
    for (const Precision precision : {Precision::exact, Precision::fast}) {
      Engine engine(make_model(config), precision);
      const std::vector<Token> tokens = random_tokens(90, config, 2);
      KvCache one = engine.cache(F32), both = engine.cache(F32, false);
      EXPECT_TRUE(same_bits(engine.feed(one, tokens, 40), engine.feed(both, tokens, 40)));
    }
}

// Distances from the F32 cache grow with fewer bits, and stay within what rounding to those bits can explain.
TEST(KvCacheTypes, QuantizedCachesStayNearTheF32One) {
  for (const Config& config : configs()) {
    Engine engine(make_model(config), Precision::exact);
    const std::vector<Token> tokens = random_tokens(90, config, 3);
    KvCache plain = engine.cache(F32);
    const std::vector<float> truth = engine.feed(plain, tokens);
    double last = 0;
    for (const auto& [type, limit] :
         {std::pair<TensorType, double>{F16, 2e-3}, {BF16, 2e-2}, {Q5_0, 0.3}, {Q4_0, 0.6}})
      for (const bool one_vector : {true, false}) {
        KvCache cache = engine.cache(type, one_vector);
        const double d = distance(engine.feed(cache, tokens), truth);
        EXPECT_LT(d, limit) << type_name(type);
        EXPECT_GT(d, 0) << type_name(type);
        if (!one_vector) {
          EXPECT_GT(d, last) << type_name(type);
          last = d;
        }
      }
  }
}

TEST(KvCacheTypes, PiecesThreadsAndTruncationChangeNoBit) {
  for (const Config& config : configs()) {
    const auto model = make_model(config);
    const std::vector<Token> tokens = random_tokens(120, config, 4), wrong = random_tokens(20, config, 5);
    const std::span<const Token> span(tokens);
    for (const KvType& type : kTypes) {
      SCOPED_TRACE(type_name(type));
      Engine one(model, Precision::fast, 1), three(model, Precision::fast, 3);
      KvCache whole = one.cache(type), cut = three.cache(type), refused = one.cache(type, true, 20);
      const std::vector<float> want = one.feed(whole, tokens, 60);
      EXPECT_TRUE(same_bits(want, three.feed(cut, tokens, 7)));
      one.feed(refused, span.first(110), 20);
      one.feed(refused, wrong, 20);
      ASSERT_TRUE(refused.can_truncate(110));
      refused.truncate(110);
      EXPECT_TRUE(same_bits(want, one.feed(refused, span.subspan(110), 10)));
    }
  }
}

// Attention puts spans of 256 positions together: prompts that end just behind a border and far beyond, cut
// where no border is. Every type, by pieces, threads and truncation across a border.
TEST(KvCacheTypes, SeveralSpansAndOddLengths) {
  for (auto [config, n] : {std::pair(tiny_ple_config(), 257), std::pair(tiny_dense_config(), 613),
                           std::pair(tiny_moe_config(), 257)}) {
    config.context_length = 1024;
    const auto model = make_model(with_wide_heads(config));
    const std::vector<Token> tokens = random_tokens(n, config, 7), wrong = random_tokens(19, config, 8);
    const std::span<const Token> span(tokens);
    const auto kept = static_cast<size_t>(n - n % 256 - 1);  // the last position of a span is lost
    for (const KvType& type : kTypes) {
      SCOPED_TRACE(fmt::format("{} {}", type_name(type), n));
      Engine one(model, Precision::fast, 1), two(model, Precision::fast, 2);
      KvCache whole = one.cache(type, true, 64, 700), cut = two.cache(type, true, 64, 700),
              refused = one.cache(type, true, 64, 700);
      const std::vector<float> want = one.feed(whole, tokens, 64);
      EXPECT_TRUE(same_bits(want, two.feed(cut, tokens, 37)));
      one.feed(refused, span.first(kept), 61);
      one.feed(refused, wrong, 19);
      ASSERT_TRUE(refused.can_truncate(static_cast<int64_t>(kept)));
      refused.truncate(static_cast<int64_t>(kept));
      EXPECT_TRUE(same_bits(want, one.feed(refused, span.subspan(kept), 3)));
    }
  }
}

// What earlier spans hold reaches the result, and rightly: the same network with a cache in F32 is near.
TEST(KvCacheTypes, EarlierSpansCount) {
  Config config = with_wide_heads(tiny_dense_config());
  config.context_length = 1024;
  Engine engine(make_model(config), Precision::exact);
  std::vector<Token> tokens = random_tokens(613, config, 9);
  KvCache plain = engine.cache(F32, true, 64, 700);
  const std::vector<float> truth = engine.feed(plain, tokens);
  for (const KvType& type : {KvType(F16), KvType(Q8_0), KvType(F16, Q8_0)}) {
    KvCache cache = engine.cache(type, true, 64, 700);
    EXPECT_LT(distance(engine.feed(cache, tokens), truth), 0.03) << type_name(type);
  }
  tokens[5] = (tokens[5] + 1) % static_cast<Token>(config.n_vocab);
  KvCache changed = engine.cache(F32, true, 64, 700);
  EXPECT_GT(distance(engine.feed(changed, tokens), truth), 0);
}

TEST(KvCacheTypes, SequencesOfDifferentTypesShareACall) {
  const Config config = with_wide_heads(tiny_dense_config());
  Engine engine(make_model(config), Precision::exact);
  const std::vector<Token> tokens = random_tokens(30, config, 6);
  std::vector<KvCache> caches;
  for (const KvType& type : kTypes)
    caches.push_back(engine.cache(type)), caches.push_back(engine.cache(type, false));
  std::vector<std::vector<float>> alone;
  for (KvCache& cache : caches) {
    alone.push_back(engine.feed(cache, tokens));
    cache.clear();
    engine.feed(cache, std::span(tokens).first(29));
  }
  std::vector<Chunk> chunks;
  for (KvCache& cache : caches) chunks.push_back({&cache, std::span(tokens).subspan(29)});
  const std::span<const float> hidden = engine.forward.run(chunks, Rows::last);
  std::vector<float> logits(static_cast<size_t>(config.n_vocab));
  for (size_t i = 0; i < caches.size(); ++i) {
    engine.forward.logits(
        hidden.subspan(i * static_cast<size_t>(config.dim), static_cast<size_t>(config.dim)), 1,
        logits.data());
    EXPECT_TRUE(same_bits(logits, alone[i])) << i;
  }
}

TEST(KvCacheTypes, OneVectorHalvesFullLayersOnly) {
  const Config config = published_config("12b").take();  // 8 full layers of one head of 512, 40 sliding ones
  KvCache::Shape shape{.n_positions = 32768, .max_batch = 512, .type = F16};
  const int64_t one = KvCache::bytes_needed(config, shape), angles = KvCache::angle_bytes(config, shape);
  EXPECT_EQ(angles, 32768 * 64 * 2 * 4);
  shape.one_vector = false;
  EXPECT_EQ(KvCache::bytes_needed(config, shape) - one, int64_t{8} * 32768 * 512 * 2 - angles);
  EXPECT_EQ(KvCache::angle_bytes(config, shape), 0);
  // Keys and values of different types are both kept.
  shape = {.n_positions = 32768, .max_batch = 512, .type = {Q8_0, Q4_0}};
  EXPECT_EQ(KvCache::bytes_needed(config, shape),
            (int64_t{8} * 32768 * 512 + int64_t{40} * 1536 * 2048) / 32 * (34 + 18));
  // E2B has V weights everywhere.
  EXPECT_EQ(KvCache::angle_bytes(published_config("e2b").take(), {.n_positions = 32768, .max_batch = 512}),
            0);
}

TEST(KvCacheTypes, RefusesEitherType) {
  const Config tiny = tiny_dense_config();
  for (const KvType& type : {KvType(F16, Q8_0), KvType(Q8_0, F16)})
    EXPECT_EQ(KvCache::check(tiny, {.n_positions = 8, .max_batch = 8, .type = type}).error().message,
              "cache type Q8_0 has blocks of 32 values, but layer 0 has heads of 16");
  EXPECT_EQ(KvCache::check(tiny, {.n_positions = 8, .max_batch = 8, .type = {F16, I8}}).error().message,
            "cache type I8: expected one that Carat can encode");
}

// A context of 128k positions of a true E2B takes memory where it is written, and nowhere else.
TEST(KvCacheTypes, IsResidentOnlyWhereTouched) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "its shadow memory is several times as large";
#endif
  const Config config = published_config("e2b").take();
  const auto backend = make_cpu_backend({}).take();
  const uint64_t before = resident_bytes();
  if (before == 0) GTEST_SKIP() << "this system does not tell";
  const KvCache::Shape shape{.n_positions = 131072, .max_batch = 512, .type = F16};
  if (!KvCache::check(config, shape)) GTEST_SKIP() << "not enough memory";
  const KvCache cache = KvCache::create(config, shape, *backend).take();
  EXPECT_GT(cache.n_bytes(), size_t{750} << 20);
  const uint64_t created = resident_bytes();
  EXPECT_LT(created, before + (uint64_t{16} << 20));
  // 1024 positions of layer 4, a full one: 2 MiB of keys and values.
  const KvView view = cache.view(4);
  ASSERT_GE(view.n_cells, 131072);
  const int64_t row_size = config.layers[4].kv_size();
  const std::vector<float> rows(static_cast<size_t>(512 * row_size), 1.0f);
  for (int64_t position = 0; position < 1024; position += 512) {
    const Segment segment{0, 512, position, view};
    backend->store_kv({&segment, 1}, rows.data(), rows.data(), row_size);
  }
  EXPECT_LT(resident_bytes(), created + (uint64_t{16} << 20));
}

TEST(KvType, IsSpelledOneWay) {
  EXPECT_EQ(parse_kv_type("q8_0").take(), KvType(Q8_0));
  EXPECT_EQ(parse_kv_type("Q8_0/q4_0").take(), KvType(Q8_0, Q4_0));
  EXPECT_EQ(parse_kv_type("f16/f16").take(), KvType(F16));
  for (const KvType& type : kTypes) EXPECT_EQ(parse_kv_type(type_name(type)).take(), type);
  EXPECT_EQ(type_name(KvType(Q8_0, Q4_0)), "Q8_0/Q4_0");
  EXPECT_EQ(type_name(KvType(BF16)), "BF16");
  for (const char* wrong :
       {"", "/", "q8_0/", "/q8_0", "q8_0/q4_0/f16", "q4_k", "i8", "q8_1", "f16 ", "q4_1"}) {
    const auto type = parse_kv_type(wrong);
    ASSERT_FALSE(type) << wrong;
    EXPECT_TRUE(
        type.error().message.starts_with(fmt::format("'{}' is not a cache type; expected f16, ", wrong)));
  }
  EXPECT_FALSE(KvType(BF16, F32).is_quantized());
  EXPECT_TRUE(KvType(F16, Q4_0).is_quantized());
}

}  // namespace
}  // namespace carat
