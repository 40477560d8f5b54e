// The network against the slow reference, and against itself: however a prompt is cut, whoever shares the
// call, with the prefill cut and without, on any number of threads, the bits are the same.
#include "model/forward.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>

#include "base/random.h"
#include "fake_file.h"
#include "model/synth.h"
#include "reference_network.h"

namespace carat {
namespace {

using Row = std::vector<float>;

struct Variant {
  std::string name;
  Config config;
};

std::vector<Variant> variants() {
  return {{"per-layer inputs, shared caches", tiny_ple_config()},
          {"V is K", tiny_dense_config()},
          {"experts", tiny_moe_config()}};
}

std::shared_ptr<const Model> make_model(const Config& config, TensorType type) {
  const auto path = std::filesystem::temp_directory_path() /
                    fmt::format("carat_forward_{}_{}.gguf", static_cast<int>(::getpid()), type_name(type));
  synthesize(config, {.matrix_type = type, .embedding_type = type, .seed = 3}, path.string()).take();
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

// One model, backend, Forward and as many caches as wanted.
struct Session {
  Session(std::shared_ptr<const Model> the_model, Precision precision, int n_threads = 1,
          const ForwardOptions& options = {.max_rows = 64}, TensorType kv_type = TensorType::F16)
      : model(std::move(the_model)),
        backend(make_cpu_backend({.n_threads = n_threads, .precision = precision}).take()),
        forward(Forward::create(model, *backend, options).take()),
        shape{.n_positions = 128, .max_batch = options.max_rows, .type = kv_type} {}

  KvCache cache() { return KvCache::create(model->config, shape, *backend).take(); }

  // Logits of hidden states, row by row.
  std::vector<Row> rows(std::span<const float> hidden) {
    const size_t dim = static_cast<size_t>(model->config.dim), n = hidden.size() / dim;
    const size_t n_vocab = static_cast<size_t>(model->config.n_vocab);
    std::vector<float> all(n * n_vocab);
    forward.logits(hidden, static_cast<int64_t>(n), all.data());
    std::vector<Row> result;
    for (size_t i = 0; i < n; ++i)
      result.emplace_back(all.begin() + static_cast<ptrdiff_t>(i * n_vocab),
                          all.begin() + static_cast<ptrdiff_t>((i + 1) * n_vocab));
    return result;
  }

  // Logits after every token (or the last of each piece) of a prompt that is cut into pieces of these sizes.
  std::vector<Row> in_pieces(std::span<const Token> tokens, const std::vector<size_t>& sizes,
                             Rows wanted = Rows::all) {
    KvCache kv = cache();
    std::vector<Row> result;
    for (size_t at = 0, i = 0; at < tokens.size(); ++i) {
      const Chunk chunk{&kv, tokens.subspan(at, std::min(sizes[i % sizes.size()], tokens.size() - at))};
      at += chunk.tokens.size();
      for (Row& row : rows(forward.run({&chunk, 1}, wanted))) result.push_back(std::move(row));
    }
    return result;
  }

  std::shared_ptr<const Model> model;
  std::unique_ptr<Backend> backend;
  Forward forward;
  KvCache::Shape shape;
};

void expect_same_bits(const Row& a, const Row& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0) << what;
}

void expect_same_bits(const std::vector<Row>& a, const std::vector<Row>& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (size_t i = 0; i < a.size(); ++i) expect_same_bits(a[i], b[i], fmt::format("{}, row {}", what, i));
}

constexpr int64_t kPrompt = 21;  // longer than two windows of 8

// The largest difference of logits; infinite where one is no number, or a row or a logit is missing.
double distance(const std::vector<Row>& rows, const std::vector<ReferenceNetwork::Vector>& reference) {
  if (rows.size() != reference.size() || rows.empty()) return INFINITY;
  double worst = 0;
  for (size_t r = 0; r < rows.size(); ++r) {
    if (rows[r].size() != reference[r].size() || rows[r].empty()) return INFINITY;
    for (size_t i = 0; i < rows[r].size(); ++i) {
      if (rows[r][i] == static_cast<float>(reference[r][i])) continue;  // both -inf, for one
      const double difference = std::abs(static_cast<double>(rows[r][i]) - reference[r][i]);
      if (!(difference <= worst)) worst = difference;
      if (std::isnan(worst)) return INFINITY;
    }
  }
  return worst;
}

TEST(Distance, IsInfiniteForWhatIsNotThere) {
  const std::vector<ReferenceNetwork::Vector> reference = {{1, 2}, {3, -INFINITY}};
  EXPECT_EQ(distance({{1, 2}, {3, -INFINITY}}, reference), 0);
  EXPECT_EQ(distance({{1, 2.5}, {3, -INFINITY}}, reference), 0.5);
  EXPECT_EQ(distance({{1, NAN}, {3, -INFINITY}}, reference), INFINITY);
  EXPECT_EQ(distance({{1, 2}, {3, 4}}, reference), INFINITY);
  EXPECT_EQ(distance({{1, 2}}, reference), INFINITY);
  EXPECT_EQ(distance({{1, 2}, {3}}, reference), INFINITY);
  EXPECT_EQ(distance({{1, 2}, {}}, reference), INFINITY);
  EXPECT_EQ(distance({}, reference), INFINITY);
}

TEST(Forward, ExactPrecisionEqualsTheReference) {
  for (const Variant& v : variants()) {
    for (const TensorType type : {TensorType::F32, TensorType::Q4_0, TensorType::BF16}) {
      const auto model = make_model(v.config, type);
      const std::vector<Token> tokens = random_tokens(kPrompt, v.config, 5);
      const auto reference = ReferenceNetwork(*model).logits(tokens);
      Session session(model, Precision::exact, 1, {.max_rows = 64}, TensorType::F32);
      const std::vector<Row> rows = session.in_pieces(tokens, {kPrompt});
      ASSERT_EQ(rows.size(), reference.size());
      EXPECT_LT(distance(rows, reference), 1e-4) << v.name << ", " << type_name(type);
      // The reference is not a constant function.
      EXPECT_GT(std::abs(reference[0][10] - reference[1][10]), 0.01) << v.name;
      EXPECT_LT(distance(session.in_pieces(tokens, {7}), reference), 1e-4) << v.name;
    }
  }
}

TEST(Forward, HalfPrecisionCacheStaysNearTheReference) {
  for (const Variant& v : variants()) {
    const auto model = make_model(v.config, TensorType::F32);
    const std::vector<Token> tokens = random_tokens(kPrompt, v.config, 6);
    Session session(model, Precision::exact);
    EXPECT_LT(distance(session.in_pieces(tokens, {kPrompt}), ReferenceNetwork(*model).logits(tokens)), 0.05)
        << v.name;
  }
}

TEST(Forward, SuppressedTokensAreImpossible) {
  const auto model = make_model(tiny_moe_config(), TensorType::F32);
  Session session(model, Precision::exact);
  for (const Row& row : session.in_pieces(random_tokens(3, model->config, 1), {3})) {
    EXPECT_EQ(row[7], -INFINITY);
    EXPECT_EQ(row[300], -INFINITY);
    EXPECT_TRUE(std::isfinite(row[8]));
  }
}

std::vector<float> gaussian_row(int64_t n) {
  Random random(2);
  std::vector<float> row(static_cast<size_t>(n));
  for (float& value : row) value = static_cast<float>(random.normal());
  return row;
}

// The likeliest tokens by sorting all logits.
std::vector<ScoredRow> sorted(const Row& logits, size_t n_best, const std::vector<Token>& never) {
  std::vector<ScoredRow> all;
  for (size_t i = 0; i < logits.size(); ++i)
    if (logits[i] > -INFINITY && std::ranges::find(never, static_cast<Token>(i)) == never.end())
      all.push_back({static_cast<Token>(i), logits[i]});
  std::ranges::stable_sort(all, std::greater<>(), &ScoredRow::score);
  all.resize(std::min(all.size(), n_best));
  return all;
}

TEST(Forward, TheBestTokensAreThoseOfSortedLogitsWithAndWithoutAScreen) {
  for (const TensorType type : {TensorType::Q8_0, TensorType::F32, TensorType::Q4_0})
    for (const Precision precision : {Precision::fast, Precision::exact}) {
      const auto model = make_model(tiny_moe_config(), type);
      Session plain(model, precision), screened(model, precision, 2, {.max_rows = 64, .screen_head = true});
      EXPECT_EQ(plain.forward.screen_bytes(), 0u);
      EXPECT_EQ(screened.forward.screen_bytes() > 0, type != TensorType::Q4_0);
      const auto tokens = random_tokens(40, model->config, 5);
      KvCache a = plain.cache(), b = screened.cache();
      const Chunk in_a{&a, tokens}, in_b{&b, tokens};
      const auto hidden_a = plain.forward.run({&in_a, 1}, Rows::all), hidden_b = screened.forward.run({&in_b, 1}, Rows::all);
      const std::vector<Row> logits = plain.rows(hidden_a);
      const size_t dim = static_cast<size_t>(model->config.dim);
      const std::vector<Token> never = {11, 5, 7, 100000, -3};
      for (size_t row = 0; row < tokens.size(); ++row)
        for (const int64_t n : {1, 5, 64, 100000}) {
          const auto want = sorted(logits[row], static_cast<size_t>(n), never);
          for (const auto& [forward, hidden] : {std::pair{&plain.forward, hidden_a}, {&screened.forward, hidden_b}}) {
            const auto best = forward->best(hidden.subspan(row * dim, dim), n, never);
            ASSERT_TRUE(std::ranges::equal(best, want, [](const ScoredRow& x, const ScoredRow& y) {
              return x.row == y.row && x.score == y.score;
            })) << type_name(type) << " row " << row << " best " << n;
          }
        }
      EXPECT_EQ(screened.forward.screen_use().n_calls > 0, type != TensorType::Q4_0);
    }
}

TEST(Forward, RepackedWeightsGiveTheSameBits) {
  for (const Variant& v : variants())
    for (const TensorType type : {TensorType::Q4_0, TensorType::Q8_0}) {
      const auto model = make_model(v.config, type);
      const std::vector<Token> tokens = random_tokens(40, v.config, 5);
      Session plain(model, Precision::fast, 2), packed(model, Precision::fast, 2),
          screened(model, Precision::fast, 2, {.max_rows = 64, .screen_head = true});
      for (Session* session : {&packed, &screened}) ASSERT_TRUE(session->forward.repack());
      EXPECT_EQ(plain.forward.repacked_bytes(), 0u);
      EXPECT_GT(packed.forward.repacked_bytes(), 0u);
      EXPECT_EQ(screened.forward.repacked_bytes() < packed.forward.repacked_bytes(), type == TensorType::Q8_0);
      const std::vector<Row> want = plain.in_pieces(tokens, {32, 1, 4, 3});
      expect_same_bits(packed.in_pieces(tokens, {32, 1, 4, 3}), want, v.name);
      expect_same_bits(screened.in_pieces(tokens, {32, 1, 4, 3}), want, v.name + ", screened");
      const std::vector<float> hidden = gaussian_row(model->config.dim);
      const auto best = plain.forward.best(hidden, 5);
      for (Session* session : {&packed, &screened})
        EXPECT_TRUE(std::ranges::equal(session->forward.best(hidden, 5), best, [](const ScoredRow& a, const ScoredRow& b) {
          return a.row == b.row && a.score == b.score;
        })) << v.name;
    }
}

TEST(Forward, RepackingIsForFastPrecisionAlone) {
  const auto model = make_model(tiny_dense_config(), TensorType::Q4_0);
  Session session(model, Precision::exact);
  ASSERT_TRUE(session.forward.repack());
  EXPECT_EQ(session.forward.repacked_bytes(), 0u);
}

TEST(Forward, AScreenThatDoesNotPayIsLeftAlone) {
  const auto model = make_model(tiny_dense_config(), TensorType::F32);
  Session session(model, Precision::fast, 1, {.max_rows = 64, .screen_head = true});
  const std::vector<float> nothing(static_cast<size_t>(model->config.dim));  // all logits are 0: no row can be left out
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(session.forward.best(nothing, 1)[0].row, 0);
  const Forward::ScreenUse& use = session.forward.screen_use();
  EXPECT_EQ(use.n_calls, use.n_full);
  EXPECT_GE(use.n_calls, 3);
  EXPECT_LE(use.n_calls, 8);
}

TEST(Forward, BitsDoNotDependOnHowAPromptIsCut) {
  for (const Variant& v : variants()) {
    const auto model = make_model(v.config, TensorType::Q4_0);
    const std::vector<Token> tokens = random_tokens(50, v.config, 7);
    for (const Precision precision : {Precision::fast, Precision::exact}) {
      Session session(model, precision);
      const std::vector<Row> whole = session.in_pieces(tokens, {50});
      expect_same_bits(session.in_pieces(tokens, {1}), whole, v.name + ", one by one");
      expect_same_bits(session.in_pieces(tokens, {3, 17, 1, 8, 2, 13}), whole, v.name + ", unevenly");
    }
  }
}

TEST(Forward, BitsDoNotDependOnTheRingsSize) {
  for (const Variant& v : variants()) {
    const auto model = make_model(v.config, TensorType::Q8_0);
    const std::vector<Token> tokens = random_tokens(120, v.config, 8);
    Session session(model, Precision::fast, 1, {.max_rows = 120});
    session.shape.max_batch = 120;  // rings as long as the sequence
    const std::vector<Row> flat = session.in_pieces(tokens, {5});
    session.shape.max_batch = 5;  // rings that wrap several times
    expect_same_bits(session.in_pieces(tokens, {5}), flat, v.name);
  }
}

TEST(Forward, SequencesInOneCallAreAsAlone) {
  for (const Variant& v : variants()) {
    const auto model = make_model(v.config, TensorType::Q4_0);
    const std::vector<Token> a = random_tokens(30, v.config, 9), b = random_tokens(12, v.config, 10);
    Session session(model, Precision::fast);
    const std::vector<Row> alone_a = session.in_pieces(a, {30}), alone_b = session.in_pieces(b, {12});
    KvCache cache_a = session.cache(), cache_b = session.cache();
    const std::span<const Token> sa(a), sb(b);
    const Chunk head{&cache_a, sa.first(9)};
    session.forward.run({&head, 1}, Rows::none);
    const Chunk both[] = {{&cache_b, sb}, {&cache_a, sa.subspan(9)}};
    const std::vector<Row> rows = session.rows(session.forward.run(both, Rows::all));
    std::vector<Row> expected = alone_b;
    expected.insert(expected.end(), alone_a.begin() + 9, alone_a.end());
    expect_same_bits(rows, expected, v.name);
  }
}

TEST(Forward, PrefillCutChangesNoBit) {
  for (const Variant& v : variants()) {
    const auto model = make_model(v.config, TensorType::Q4_0);
    const std::vector<Token> a = random_tokens(30, v.config, 11), b = random_tokens(11, v.config, 12);
    Session with(model, Precision::fast),
        without(model, Precision::fast, 1, {.max_rows = 64, .prefill_cut = false});
    expect_same_bits(with.in_pieces(a, {7}, Rows::last), without.in_pieces(a, {7}, Rows::last), v.name);
    // The last row is the same as among all, and what later tokens see is the same too.
    expect_same_bits(with.in_pieces(a, {30}, Rows::last).back(), without.in_pieces(a, {30}).back(), v.name);

    KvCache cache_a = with.cache(), cache_b = with.cache();
    const Chunk both[] = {{&cache_a, a}, {&cache_b, b}};
    const std::vector<Row> rows = with.rows(with.forward.run(both, Rows::last));
    ASSERT_EQ(rows.size(), 2u);
    expect_same_bits(rows[0], without.in_pieces(a, {30}).back(), v.name + ", first of two");
    expect_same_bits(rows[1], without.in_pieces(b, {11}).back(), v.name + ", second of two");
  }
}

// Layer by layer through cells of its own, two sequences cut into three calls, and only some rows wanted.
TEST(Forward, LayerByLayerIsTheSame) {
  for (const Variant& variant : variants()) {
    Session session(make_model(variant.config, TensorType::F16), Precision::exact);
    const std::vector<Token> a = random_tokens(kPrompt, variant.config, 1), b = random_tokens(9, variant.config, 2);
    std::vector<Row> expected;
    for (Row& row : session.in_pieces(a, {64})) expected.push_back(std::move(row));
    expected.erase(expected.begin(), expected.begin() + 5);  // the first five rows of a are not wanted
    std::vector<Row> of_b = session.in_pieces(b, {64});
    expected.push_back(std::move(of_b.back()));  // of b only the last

    Forward& forward = session.forward;
    const std::span<const Token> first(a), second(b);
    std::vector<Passage> calls;
    for (const std::vector<TokenRun>& parts : {std::vector<TokenRun>{{first.first(4), 0, 0}},
                                           std::vector<TokenRun>{{first.subspan(4), 4, kPrompt - 5}, {second.first(3), 0, 0}},
                                           std::vector<TokenRun>{{second.subspan(3), 3, 1}}})
      calls.push_back(forward.enter(parts));
    const std::vector<std::vector<size_t>> sequences{{0}, {0, 1}, {1}};
    std::map<int, std::vector<LayerCells>> cells;
    for (int layer = 0; layer < variant.config.n_layers(); ++layer) {
      if (variant.config.owns_kv(layer))
        for (const int64_t n : {kPrompt, int64_t{9}})
          cells[layer].push_back(make_cells(variant.config.layers[static_cast<size_t>(layer)], {n, n}, *session.backend));
      const auto& read = cells.at(variant.config.layers[static_cast<size_t>(layer)].kv_source);
      for (size_t call = 0; call < calls.size(); ++call) {
        std::vector<KvView> views;
        for (const size_t sequence : sequences[call]) views.push_back(read[sequence].view);
        forward.run_layer(calls[call], layer, views);
      }
    }
    std::vector<Row> got;
    for (Passage& call : calls) {
      const std::span<const float> hidden = forward.leave(call);
      if (hidden.empty()) continue;
      for (Row& row : session.rows(hidden)) got.push_back(std::move(row));
    }
    expect_same_bits(got, expected, variant.name);
  }
}

TEST(Forward, PrefillFillsTheCacheAsOneCallDoes) {
  for (const Variant& v : variants()) {
    const auto model = make_model(v.config, TensorType::Q4_0);
    const std::vector<Token> tokens = random_tokens(61, v.config, 13);
    Session session(model, Precision::fast, 1, {.max_rows = 16});
    const std::vector<Row> expected = session.in_pieces(tokens, {16});
    KvCache cache = session.cache();
    const std::span<const Token> span(tokens);
    expect_same_bits(session.rows(prefill(session.forward, cache, span.first(60))).at(0), expected[59],
                     v.name);
    const Chunk next{&cache, span.subspan(60)};
    expect_same_bits(session.rows(session.forward.run({&next, 1}, Rows::last)).at(0), expected[60], v.name);
  }
}

TEST(Forward, BitsDoNotDependOnTheNumberOfThreads) {
  for (const Variant& v : variants()) {
    const auto model = make_model(v.config, TensorType::Q4_0);
    const std::vector<Token> tokens = random_tokens(40, v.config, 14);
    for (const Precision precision : {Precision::fast, Precision::exact}) {
      Session one(model, precision, 1), three(model, precision, 3);
      expect_same_bits(three.in_pieces(tokens, {33, 1}), one.in_pieces(tokens, {33, 1}), v.name);
    }
  }
}

TEST(Forward, TruncatedCachesContinueAsIfNothingHadBeen) {
  for (const Variant& v : variants()) {
    const auto model = make_model(v.config, TensorType::Q4_0);
    const std::vector<Token> tokens = random_tokens(60, v.config, 15),
                             wrong = random_tokens(20, v.config, 16);
    Session session(model, Precision::fast, 1, {.max_rows = 20});
    const std::vector<Row> expected = session.in_pieces(tokens, {20});
    KvCache cache = session.cache();
    const std::span<const Token> span(tokens);
    (void)prefill(session.forward, cache, span.first(50));
    (void)prefill(session.forward, cache, wrong);
    ASSERT_TRUE(cache.can_truncate(50));
    cache.truncate(50);
    const Chunk rest{&cache, span.subspan(50)};
    expect_same_bits(session.rows(session.forward.run({&rest, 1}, Rows::last)).at(0), expected[59], v.name);
    EXPECT_FALSE(cache.can_truncate(1));  // the rings have forgotten
    EXPECT_TRUE(cache.can_truncate(0));
  }
}

TEST(Forward, FilesWithoutRopeDivisorsTurnTheFirstQuarter) {
  const Config config = tiny_dense_config();
  const auto model = make_model(config, TensorType::F32);
  Model without{model->file, model->config, model->weights, model->tokenizer};
  without.weights.rope_divisors = {};
  Session a(model, Precision::exact), b(std::make_shared<const Model>(without), Precision::exact);
  const std::vector<Token> tokens = random_tokens(20, config, 17);
  expect_same_bits(a.in_pieces(tokens, {20}), b.in_pieces(tokens, {20}), "with and without");
}

TEST(KvCache, TakesWhatItSays) {
  const auto backend = make_cpu_backend({}).take();
  for (const Variant& v : variants()) {
    const KvCache::Shape shape{.n_positions = 100, .max_batch = 10, .type = TensorType::F16};
    const KvCache cache = KvCache::create(v.config, shape, *backend).take();
    EXPECT_EQ(static_cast<int64_t>(cache.n_bytes()) + KvCache::angle_bytes(v.config, shape),
              KvCache::bytes_needed(v.config, shape))
        << v.name;
    EXPECT_TRUE(cache.fits(v.config));
  }
  // E2B, 32k positions: 3 full layers of 512 and 12 rings of 256 own caches; the others own nothing.
  const Config e2b = published_config("e2b").take();
  EXPECT_EQ(KvCache::bytes_needed(e2b, {.n_positions = 32768, .max_batch = 512, .type = TensorType::F16}),
            2 * 2 * (3 * 512 * 32768 + 12 * 256 * 1024));
}

TEST(KvCache, RefusesTypesWhoseBlocksDoNotFitAHead) {
  EXPECT_TRUE(KvCache::check(published_config("31b").take(),
                             {.n_positions = 8, .max_batch = 8, .type = TensorType::Q8_0}));
  EXPECT_EQ(KvCache::check(tiny_dense_config(), {.n_positions = 8, .max_batch = 8, .type = TensorType::Q8_0})
                .error()
                .message,
            "cache type Q8_0 has blocks of 32 values, but layer 0 has heads of 16");
}

// The error of a cache for this config and shape, through the only way to make one.
std::string refusal(const Config& config, const KvCache::Shape& shape) {
  const auto backend = make_cpu_backend({}).take();
  const auto cache = KvCache::create(config, shape, *backend);
  return cache ? "no error" : cache.error().message;
}

TEST(KvCache, RefusesWhatCannotBeMade) {
  const Config tiny = tiny_dense_config();
  EXPECT_EQ(refusal(tiny, {.n_positions = 256, .max_batch = 8}), "no error");
  EXPECT_EQ(refusal(tiny, {.n_positions = 8, .max_batch = 8, .type = TensorType::Q4_0}),
            "cache type Q4_0 has blocks of 32 values, but layer 0 has heads of 16");
  for (const TensorType type : {TensorType::I8, TensorType::Q8_1, TensorType::IQ2_XXS})
    EXPECT_EQ(refusal(published_config("e2b").take(), {.n_positions = 8, .max_batch = 8, .type = type}),
              fmt::format("cache type {}: expected one that Carat can encode", type_name(type)));
  EXPECT_EQ(refusal(tiny, {.n_positions = 257, .max_batch = 8}),
            "a cache of 257 positions, but the model's context has only 256");
  EXPECT_EQ(refusal(tiny, {.n_positions = 0, .max_batch = 8}), "a cache of 0 positions, expected at least 1");
  EXPECT_EQ(refusal(tiny, {.n_positions = 8, .max_batch = 0}), "batches of 0 positions, expected 1..2147483647");
}

// The largest numbers that a file may have: more bytes than there are in any machine, and more than 64 bits count.
Config huge_config() {
  Config config = tiny_dense_config();
  config.context_length = INT32_MAX;
  config.layers.assign(1024, config.layers.back());
  for (size_t i = 0; i < config.layers.size(); ++i) {
    config.layers[i].kv_source = static_cast<int>(i);
    config.layers[i].n_kv_heads = config.layers[i].n_heads = 1 << 12;
    config.layers[i].head_dim = 1 << 13;
    config.layers[i].n_ff = 1 << 24;
  }
  return config;
}

TEST(KvCache, RefusesMoreMemoryThanThereIs) {
  const Config huge = huge_config();
  const KvCache::Shape longest{.n_positions = INT32_MAX, .max_batch = 512, .type = TensorType::F32};
  EXPECT_EQ(KvCache::bytes_needed(huge, longest), INT64_MAX);
  EXPECT_TRUE(refusal(huge, longest).starts_with("a cache of 2147483647 positions takes 8589934592.0 GiB, but "))
      << refusal(huge, longest);
  EXPECT_TRUE(refusal(huge, {.n_positions = 1 << 20, .max_batch = 512}).ends_with(" GiB of memory"));
  // Types whose blocks do not fit are counted too, for plans that list every type.
  EXPECT_EQ(KvCache::bytes_needed(tiny_dense_config(), {.n_positions = 32, .max_batch = 32, .type = TensorType::Q4_K}),
            // 4 sliding layers with K and V, 2 full ones with one vector, and the angles of 4 pairs.
            (2 * 4 + 2) * 32 * 144 + 32 * 4 * 8);
}

TEST(Forward, RefusesMoreScratchThanThereIs) {
  const auto model = make_model(tiny_dense_config(), TensorType::F32);
  const auto backend = make_cpu_backend({}).take();
  Model wide{model->file, model->config, model->weights, model->tokenizer};
  wide.config.layers[1].n_ff = 1 << 24;
  const auto shared = std::make_shared<const Model>(wide);
  const auto forward = Forward::create(shared, *backend, {.max_rows = 1 << 20});
  ASSERT_FALSE(forward);
  EXPECT_TRUE(forward.error().message.starts_with("scratch for 1048576 rows takes 16")) << forward.error().message;
  EXPECT_TRUE(forward.error().message.ends_with(" GiB of memory"));
  EXPECT_EQ(Forward::bytes_needed(huge_config(), INT64_MAX / 2), INT64_MAX);
  EXPECT_EQ(Forward::create(model, *backend, {.max_rows = 0}).error().message, "calls of 0 rows, expected at least 1");
}

using ForwardDeathTest = testing::Test;

TEST(ForwardDeathTest, ContractsAreChecked) {
  const auto model = make_model(tiny_dense_config(), TensorType::F32);
  Session session(model, Precision::exact);
  KvCache cache = session.cache();
  const auto run = [&](KvCache& into, std::vector<Token> tokens) {
    const Chunk chunk{&into, tokens};
    session.forward.run({&chunk, 1}, Rows::last);
  };
  EXPECT_DEATH(run(cache, {2, static_cast<Token>(model->config.n_vocab)}), "token < config.n_vocab");
  EXPECT_DEATH(run(cache, {-1}), "token >= 0");
  EXPECT_DEATH(prefill(session.forward, cache, random_tokens(129, model->config, 1)), "tokens.size()");
  // A cache for a model with as many layers but other heads, and one with other windows.
  Config other = model->config;
  for (LayerConfig& layer : other.layers) layer.n_kv_heads = layer.n_heads;
  KvCache wrong = KvCache::create(other, session.shape, *session.backend).take();
  EXPECT_DEATH(run(wrong, {2}), "fits");
  other = model->config;
  for (LayerConfig& layer : other.layers) layer.sliding = false, layer.window = 0;
  KvCache flat = KvCache::create(other, session.shape, *session.backend).take();
  EXPECT_DEATH(run(flat, {2}), "fits");
  other.layers.pop_back();
  KvCache low = KvCache::create(other, session.shape, *session.backend).take();
  EXPECT_DEATH(run(low, {2}), "fits");
}

TEST(LogSoftmax, RowsWithoutADistributionBecomeNan) {
  for (std::vector<float> row : {std::vector<float>{1, NAN, 2}, {NAN, 1}, {-INFINITY, NAN}, {1, INFINITY},
                                 {-INFINITY, -INFINITY}}) {
    EXPECT_TRUE(std::isnan(log_softmax(row)));
    for (const float value : row) EXPECT_TRUE(std::isnan(value));
  }
}

TEST(LogSoftmax, IsNormalised) {
  std::vector<float> x = {1, 2, 3, -INFINITY};
  const double log_sum = log_softmax(x);
  EXPECT_NEAR(log_sum, 3.40760596, 1e-6);
  EXPECT_NEAR(std::exp(x[0]) + std::exp(x[1]) + std::exp(x[2]), 1, 1e-6);
  EXPECT_EQ(x[3], -INFINITY);
}

}  // namespace
}  // namespace carat
