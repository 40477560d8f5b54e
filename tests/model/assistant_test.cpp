// Assistants: every dialect loads as the same network, a draft step is what the slow reference computes, and
// what does not fit together is one clear line.
#include "model/assistant.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>

#include "base/file.h"
#include "base/random.h"
#include "fake_file.h"
#include "gguf/writer.h"
#include "model/drafter.h"
#include "model/forward.h"
#include "model/synth.h"
#include "reference_assistant.h"

namespace carat {
namespace {

using Row = std::vector<float>;

AssistantConfig tiny_assistant(const Config& target, bool ordered_head = false) {
  AssistantConfig config = assistant_for(target, 32, 64, 4);
  if (ordered_head) config.n_centroids = 16, config.n_centroids_used = 4;
  return config;
}

std::vector<Config> targets() { return {tiny_ple_config(), tiny_dense_config(), tiny_moe_config()}; }

struct AssistantTest : testing::Test {
  std::filesystem::path folder =
      std::filesystem::temp_directory_path() / fmt::format("carat-assistant-{}", ::getpid());
  void SetUp() override { std::filesystem::create_directories(folder); }
  void TearDown() override { std::filesystem::remove_all(folder); }
  std::string path(std::string_view name) const { return (folder / name).string(); }

  std::shared_ptr<const Model> target(const Config& config, TensorType type = TensorType::F32) {
    synthesize(config, {.matrix_type = type, .embedding_type = type, .seed = 3}, path("target.gguf")).take();
    return open_model(path("target.gguf")).take();
  }
  std::shared_ptr<const Assistant> assistant(const AssistantConfig& config, TensorType type = TensorType::F32,
                                             const AssistantDialect& dialect = assistant_dialects()[0]) {
    synthesize(config, {.matrix_type = type, .embedding_type = type, .seed = 9}, path("assistant.gguf"),
               dialect)
        .take();
    return open_assistant(path("assistant.gguf")).take();
  }
};

std::vector<Token> random_tokens(int64_t n, const Config& config) {
  Random random(21);
  std::vector<Token> tokens(static_cast<size_t>(n));
  for (Token& token : tokens) token = static_cast<Token>(random.below(config.n_vocab));
  return tokens;
}

// A target after a prompt, and a drafter.
struct Session {
  Session(std::shared_ptr<const Model> the_model, std::shared_ptr<const Assistant> the_assistant,
          std::span<const Token> tokens, const DraftOptions& options = {},
          Precision precision = Precision::exact)
      : model(std::move(the_model)),
        backend(make_cpu_backend({.precision = precision}).take()),
        forward(Forward::create(model, *backend, {.max_rows = 64}).take()),
        cache(KvCache::create(model->config, {.n_positions = 128, .max_batch = 16, .type = TensorType::F32},
                              *backend)
                  .take()),
        drafter(Drafter::create(std::move(the_assistant), model, *backend, options).take()) {
    const auto state = prefill(forward, cache, tokens);
    hidden.assign(state.begin(), state.end());
  }

  // Logits of one step after another, each from the token that is given.
  std::vector<Row> draft(const std::vector<Token>& tokens) {
    std::vector<Row> rows;
    std::span<const float> state(hidden);
    for (const Token token : tokens) {
      rows.emplace_back(static_cast<size_t>(model->config.n_vocab));
      state = drafter.step(cache, token, state, rows.back().data());
    }
    last_state.assign(state.begin(), state.end());
    return rows;
  }

  std::shared_ptr<const Model> model;
  std::unique_ptr<Backend> backend;
  Forward forward;
  KvCache cache;
  Drafter drafter;
  Row hidden, last_state;
};

void expect_near(const Row& row, const std::vector<double>& expected, const std::string& what) {
  ASSERT_EQ(row.size(), expected.size()) << what;
  for (size_t i = 0; i < row.size(); ++i)
    ASSERT_NEAR(row[i], expected[i], 2e-3 * (1 + std::abs(expected[i]))) << what << ", " << i;
}

TEST_F(AssistantTest, AStepIsWhatTheReferenceComputes) {
  for (const Config& config : targets())
    for (const int64_t n : {1, 5, 21})  // within one window of 8, and beyond two
      for (const DraftPosition position : {DraftPosition::next, DraftPosition::last}) {
        const auto model = target(config);
        const auto helper = assistant(tiny_assistant(config));
        const std::vector<Token> tokens = random_tokens(n, config);
        Session session(model, helper, tokens, {.position = position});
        ReferenceNetwork network(*model);
        network.logits(tokens);
        const ReferenceAssistant reference(*helper, *model, network);
        const size_t n_cached = tokens.size(), at = position == DraftPosition::next ? n_cached : n_cached - 1;
        const std::vector<Row> rows = session.draft({17, 300});
        const std::string what = fmt::format("{} positions, at {}", n, at);
        const auto first = reference.step(17, network.hidden(), n_cached, at);
        expect_near(rows[0], first.logits, what);
        const auto second = reference.step(300, first.hidden, n_cached, at);
        expect_near(rows[1], second.logits, what + ", second step");
        expect_near(session.last_state, second.hidden, what + ", hidden state");
      }
}

TEST_F(AssistantTest, AllDialectsAreOneNetwork) {
  const Config config = tiny_ple_config();
  const auto model = target(config);
  const AssistantConfig shape = tiny_assistant(config, true);
  assistant(shape);
  const gguf::File original = gguf::open(path("assistant.gguf")).take();
  const AssistantDialect& a = assistant_dialects()[0];
  std::vector<Row> rows;
  for (const AssistantDialect& dialect : assistant_dialects()) {
    gguf::Metadata metadata;
    describe(shape, dialect, metadata);
    describe(sample_vocabulary(config.n_vocab), metadata);
    std::vector<gguf::TensorToWrite> tensors;
    for (const Tensor& tensor : original.tensors) {
      tensors.push_back(gguf::existing(tensor));
      for (const auto name : {&AssistantDialect::pre_projection, &AssistantDialect::post_projection,
                              &AssistantDialect::centroids, &AssistantDialect::ordering})
        if (tensor.name == a.*name) tensors.back().name = dialect.*name;
    }
    gguf::write(path("dialect.gguf"), metadata, tensors).take();
    const auto opened = open_assistant(path("dialect.gguf"));
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ((*opened)->config, shape) << dialect.architecture;
    Session session(model, *opened, random_tokens(9, config));
    rows.push_back(session.draft({17}).front());
    EXPECT_EQ(rows.back(), rows.front()) << dialect.architecture;
  }
}

TEST_F(AssistantTest, SynthWritesEveryDialect) {
  const Config config = tiny_dense_config();
  const AssistantConfig shape = tiny_assistant(config);
  for (const AssistantDialect& dialect : assistant_dialects())
    EXPECT_EQ(assistant(shape, TensorType::Q8_0, dialect)->config, shape) << dialect.architecture;
}

TEST_F(AssistantTest, PublishedSizesFitTheirTargets) {
  for (const std::string_view size : published_sizes()) {
    const SynthShape shape{.like = std::string(size), .n_layers = 12, .width_divisor = 32, .n_vocab = 512};
    synthesize(shape, {}, path("target.gguf")).take();
    const auto model = open_model(path("target.gguf")).take();
    const bool has_centroids = published_assistant(size)->n_centroids > 0;
    const auto helper = assistant(synth_assistant_config(shape, true).take(), TensorType::Q4_0);
    EXPECT_EQ(helper->config.n_centroids, has_centroids ? 4 : 0) << size;
    const auto sources = draft_sources(*helper, *model);
    ASSERT_TRUE(sources) << size << ": " << sources.error().message;
    EXPECT_EQ(sources->size(), 4u);
  }
  EXPECT_FALSE(published_assistant("2b"));
}

// In millions; the published figures leave norms out.
TEST_F(AssistantTest, ThePublishedAssistantsHaveThePublishedSizes) {
  const auto n_parameters = [](std::string_view size) {
    int64_t n = 0;
    for (const TensorSlot& slot : tensor_slots(published_assistant(size).take(), assistant_dialects()[0]))
      if (slot.role == TensorRole::matrix || slot.role == TensorRole::token_embedding)
        n += slot.shape[0] * slot.shape[1];
    return static_cast<double>(n) / 1e6;
  };
  EXPECT_NEAR(n_parameters("e2b"), 77.7, 0.05);
  EXPECT_NEAR(n_parameters("e4b"), 78.5, 0.05);
  EXPECT_NEAR(n_parameters("12b"), 422.8, 0.05);
  EXPECT_NEAR(n_parameters("26b-a4b"), 419.7, 0.05);
  EXPECT_NEAR(n_parameters("31b"), 469.5, 0.05);
}

TEST_F(AssistantTest, SourcesAreTheLastOwningLayersOfEachKind) {
  const Config config = tiny_ple_config();  // SSFSSFF, of which the last three share
  const auto helper = assistant(tiny_assistant(config));
  EXPECT_EQ(*draft_sources(*helper, *target(config)), (std::vector<int>{3, 3, 3, 2}));
}

// With the right centroids a token's logit is the full head's, bit for bit.
TEST_F(AssistantTest, TheOrderedHeadIsAPartOfTheFullOne) {
  for (const TensorType type : {TensorType::F32, TensorType::Q8_0})
    for (const Precision precision : {Precision::exact, Precision::fast}) {
      const Config config = tiny_dense_config();
      const auto model = target(config);
      const auto helper = assistant(tiny_assistant(config, true), type);
      const std::vector<Token> tokens = random_tokens(11, config);
      Session full(model, helper, tokens, {}, precision);
      Session ordered(model, helper, tokens, {.head = DraftHead::ordered}, precision);
      const Row all = full.draft({17}).front(), some = ordered.draft({17}).front();
      size_t n_finite = 0;
      for (size_t i = 0; i < all.size(); ++i) {
        if (some[i] == -INFINITY) continue;
        ++n_finite;
        EXPECT_EQ(some[i], all[i]) << i;
      }
      EXPECT_EQ(n_finite, 4 * 512 / 16u);
      EXPECT_EQ(full.last_state, ordered.last_state);
    }
}

TEST_F(AssistantTest, TheOrderedHeadTakesTheBestCentroids) {
  const Config config = tiny_dense_config();
  const auto model = target(config);
  // Where the hidden width is the centroids' rows, their scores can be had from a full head: tokens are
  // centroids.
  AssistantConfig shape = tiny_assistant(config, true);
  const auto helper = assistant(shape);
  const std::vector<Token> tokens = random_tokens(11, config);
  Session ordered(model, helper, tokens, {.head = DraftHead::ordered});
  const Row row = ordered.draft({17}).front();
  // The same assistant with the centroids where the first tokens' rows of the head were.
  Assistant shown{helper->file, helper->config, helper->weights, helper->ordering};
  std::vector<float> head(static_cast<size_t>(512 * 32));
  std::memcpy(head.data(), helper->weights.centroids.data, helper->weights.centroids.n_bytes());
  shown.weights.network.output.data = reinterpret_cast<const std::byte*>(head.data());
  Session scores(model, std::make_shared<const Assistant>(shown), tokens);
  const Row of_centroids = scores.draft({17}).front();
  ReferenceNetwork network(*model);
  const ReferenceAssistant reference(*helper, *model, network);
  std::vector<Token> expected = reference.candidates({of_centroids.begin(), of_centroids.begin() + 16});
  std::vector<Token> found;
  for (size_t i = 0; i < row.size(); ++i)
    if (row[i] != -INFINITY) found.push_back(static_cast<Token>(i));
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(found, expected);
}

TEST_F(AssistantTest, DraftingLeavesTheCacheAlone) {
  const Config config = tiny_ple_config();
  const std::vector<Token> tokens = random_tokens(20, config);
  const auto model = target(config);
  Session drafted(model, assistant(tiny_assistant(config)), tokens),
      plain(model, assistant(tiny_assistant(config)), tokens);
  const std::vector<Row> first = drafted.draft({1, 2, 3}), again = drafted.draft({1, 2, 3});
  EXPECT_EQ(first, again);
  EXPECT_EQ(drafted.cache.n_used(), 20);
  const std::vector<Token> next = {5};
  const auto a = prefill(drafted.forward, drafted.cache, next), b = prefill(plain.forward, plain.cache, next);
  EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end()));
}

// What opening says of an assistant after `change`.
std::string error_after(const std::function<void(FakeFile&)>& change, bool ordered_head = true) {
  const AssistantConfig config = tiny_assistant(tiny_dense_config(), ordered_head);
  const AssistantDialect& dialect = assistant_dialects()[0];
  FakeFile fake(config.network);
  describe(config, dialect, fake.file.metadata);
  for (const TensorSlot& slot : tensor_slots(config, dialect))
    if (fake.file.find(slot.name) == nullptr)
      fake.add(slot.name, slot.shape, slot.role == TensorRole::table ? TensorType::I32 : TensorType::F32);
  if (ordered_head) {
    auto* order = reinterpret_cast<int32_t*>(fake.data[fake.file.index.at("masked_embd_ordering")].data());
    for (int i = 0; i < 512; ++i) order[i] = 511 - i;
  }
  change(fake);
  const auto opened = make_assistant(fake.file);
  return opened ? "no error" : opened.error().message;
}

int32_t* order_in(FakeFile& fake) {
  return reinterpret_cast<int32_t*>(fake.data[fake.file.index.at("masked_embd_ordering")].data());
}

TEST_F(AssistantTest, RefusesWithOneLine) {
  EXPECT_EQ(error_after([](FakeFile&) {}), "no error");
  EXPECT_EQ(error_after([](FakeFile& f) { f.remove("nextn.pre_projection.weight"); }),
            "fake.gguf: tensor 'nextn.pre_projection.weight' is missing");
  EXPECT_EQ(error_after([](FakeFile& f) { f.remove("nextn.post_projection.weight"); }),
            "fake.gguf: tensor 'nextn.post_projection.weight' is missing, expected shape [32, 64]");
  EXPECT_EQ(error_after([](FakeFile& f) {
              f.tensor("nextn.pre_projection.weight").shape = {127, 32, 1, 1};
            }),
            "fake.gguf: tensor 'nextn.pre_projection.weight': rows of 127, expected twice the width of the "
            "target's hidden "
            "states");
  EXPECT_EQ(error_after([](FakeFile& f) {
              f.file.metadata.set("gemma4-assistant.embedding_length_out", uint32_t{65});
            }),
            "fake.gguf: key 'gemma4-assistant.embedding_length_out': 65, expected 64 as half of a row of "
            "'nextn.pre_projection.weight'");
  EXPECT_EQ(error_after([](FakeFile& f) { f.remove("masked_embd_ordering"); }),
            "fake.gguf: tensor 'masked_embd_ordering' is missing, expected shape [512]");
  EXPECT_EQ(error_after([](FakeFile& f) { f.tensor("masked_embd_ordering").type = TensorType::F32; }),
            "fake.gguf: tensor 'masked_embd_ordering': type F32, expected I32 or I64");
  EXPECT_EQ(
      error_after([](FakeFile& f) {
        f.tensor("masked_embd_centroids.weight").shape = {32, 15, 1, 1};
      }),
      "fake.gguf: tensor 'masked_embd_centroids.weight': 15 centroids, expected a divisor of the 512 tokens");
  EXPECT_EQ(
      error_after([](FakeFile& f) { f.file.metadata.set("gemma4-assistant.n_centroids", uint32_t{8}); }),
      "fake.gguf: key 'gemma4-assistant.n_centroids': 8, expected 16 as rows of "
      "'masked_embd_centroids.weight'");
  EXPECT_EQ(
      error_after([](FakeFile& f) { f.file.metadata.set("gemma4-assistant.centroid_top_k", uint32_t{17}); }),
      "fake.gguf: key 'gemma4-assistant.centroid_top_k': 17 is outside 1..16");
  EXPECT_EQ(error_after([](FakeFile& f) {
              f.add("blk.0.attn_norm.bias", {32, 1, 1, 1}, TensorType::F32);
            }),
            "fake.gguf: tensor 'blk.0.attn_norm.bias': no part of the network that the file's keys describe");
}

TEST_F(AssistantTest, OrdersAreCheckedAndTakenEitherWay) {
  for (const int32_t value : {-1, 512, INT32_MAX})
    EXPECT_EQ(error_after([&](FakeFile& f) { order_in(f)[3] = value; }),
              fmt::format("fake.gguf: tensor 'masked_embd_ordering': value {} is no token, expected 0..511",
                          value));
  EXPECT_EQ(error_after([](FakeFile& f) { order_in(f)[3] = order_in(f)[4]; }),
            "fake.gguf: tensor 'masked_embd_ordering': neither every token once nor 32 tokens for each of 16 "
            "centroids");
  // Each token's centroid instead of each centroid's tokens.
  EXPECT_EQ(error_after([](FakeFile& f) {
              for (int i = 0; i < 512; ++i) order_in(f)[i] = i % 16;
            }),
            "no error");
  EXPECT_EQ(error_after([](FakeFile& f) {
              for (int i = 0; i < 512; ++i) order_in(f)[i] = i % 16;
              order_in(f)[0] = 1;
            }),
            "fake.gguf: tensor 'masked_embd_ordering': neither every token once nor 32 tokens for each of 16 "
            "centroids");
  EXPECT_EQ(error_after([](FakeFile& f) {  // a head that is not to be used is not looked at
              f.file.metadata.set("gemma4-assistant.use_ordered_embeddings", false);
              order_in(f)[3] = -1;
            }),
            "no error");
}

TEST_F(AssistantTest, AMapOfCentroidsIsTheSameOrder) {
  const Config config = tiny_dense_config();
  const auto helper = assistant(tiny_assistant(config, true));
  std::vector<int64_t> map(512);  // as I64, too
  for (size_t place = 0; place < 512; ++place)
    map[static_cast<size_t>(helper->ordering[place])] = static_cast<int64_t>(place / 32);
  std::vector<gguf::TensorToWrite> tensors;
  for (const Tensor& tensor : helper->file.tensors) {
    tensors.push_back(gguf::existing(tensor));
    if (tensor.type != TensorType::I32) continue;
    const auto bytes = std::as_bytes(std::span(map));
    tensors.back() =
        gguf::owned(std::string(tensor.name), TensorType::I64, tensor.shape, {bytes.begin(), bytes.end()});
  }
  gguf::write(path("map.gguf"), helper->file.metadata, tensors).take();
  const auto mapped = open_assistant(path("map.gguf")).take();
  for (size_t centroid = 0; centroid < 16; ++centroid) {
    std::vector<int32_t> expected(helper->ordering.begin() + static_cast<ptrdiff_t>(centroid * 32),
                                  helper->ordering.begin() + static_cast<ptrdiff_t>((centroid + 1) * 32));
    std::sort(expected.begin(), expected.end());  // within a centroid the order says nothing
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(),
                           mapped->ordering.begin() + static_cast<ptrdiff_t>(centroid * 32)));
  }
}

TEST_F(AssistantTest, WhatDoesNotFitIsRefused) {
  const Config config = tiny_dense_config();
  const auto model = target(config);
  const auto error = [&](const std::function<void(AssistantConfig&)>& change) {
    AssistantConfig shape = tiny_assistant(config);
    change(shape);
    const auto sources = draft_sources(*assistant(shape), *model);
    return sources ? "no error" : sources.error().message;
  };
  const std::string pair =
      fmt::format("{} does not draft for {}: ", path("assistant.gguf"), path("target.gguf"));
  EXPECT_EQ(error([](AssistantConfig&) {}), "no error");
  EXPECT_EQ(error([](AssistantConfig& c) { c.backbone_dim = 32; }),
            pair + "hidden states of 32, but the target's have 64");
  EXPECT_EQ(error([](AssistantConfig& c) { c.network.n_vocab = 513; }),
            pair + "513 tokens, but the target has 512");
  EXPECT_EQ(error([](AssistantConfig& c) {
              for (LayerConfig& layer : c.network.layers) layer.n_kv_heads = 4;
            }),
            pair + "layer 0: 4 key heads of 16, but the target caches 2 of 16");
  EXPECT_EQ(error([](AssistantConfig& c) { c.network.layers[3].head_dim = 64; }),
            pair + "layer 3: 1 key heads of 64, but the target caches 1 of 32");
  EXPECT_EQ(error([](AssistantConfig& c) {
              for (LayerConfig& layer : c.network.layers) layer.window = layer.sliding ? 16 : 0;
            }),
            pair + "layer 0: a window of 16, but the target's is 8");
  EXPECT_EQ(error([](AssistantConfig& c) { c.network.layers[3].rope_theta = 5e5; }),
            pair + "layer 3: rotations with base 500000, but the target's keys have 1000000");
}

TEST_F(AssistantTest, OtherTokensAreRefused) {
  const Config config = tiny_dense_config();
  const auto model = target(config);
  const auto helper = assistant(tiny_assistant(config));
  const auto with_tokens = [&](std::vector<std::string> tokens) {
    Assistant other{helper->file, helper->config, helper->weights, {}};
    other.file.metadata.set_texts("tokenizer.ggml.tokens", tokens);
    return draft_sources(other, *model).error().message;
  };
  std::vector<std::string> tokens;
  for (int i = 0; i < 512; ++i) tokens.emplace_back(model->tokenizer.token_text(i));
  tokens[300] = "x\n";
  EXPECT_NE(with_tokens(tokens).find("token 300 is 'x\\x0a', but the target's is '"), std::string::npos)
      << with_tokens(tokens);
  tokens.pop_back();
  EXPECT_NE(with_tokens(tokens).find("511 tokens, but the target has 512"), std::string::npos);
}

TEST_F(AssistantTest, AnOrderedHeadThatIsNotThere) {
  const Config config = tiny_dense_config();
  const auto backend = make_cpu_backend({}).take();
  EXPECT_EQ(Drafter::create(assistant(tiny_assistant(config)), target(config), *backend,
                            {.head = DraftHead::ordered})
                .error()
                .message,
            path("assistant.gguf") + ": no centroids, expected them for the ordered head");
}

// Any prefix of an assistant's file is refused in one line.
TEST_F(AssistantTest, EveryPrefixFailsCleanly) {
  assistant(tiny_assistant(tiny_dense_config(), true), TensorType::Q4_0);
  const std::string bytes = read_file(path("assistant.gguf")).take();
  const auto all = std::as_bytes(std::span(bytes));
  const size_t n_head = bytes.size() - 60'000;  // beyond it only data is missing
  for (size_t n = 0; n < bytes.size(); n += n < n_head ? 13 : 1999) {
    auto file = gguf::parse(all.first(n), "cut");
    EXPECT_FALSE(file) << n;
    if (!file) {
      EXPECT_EQ(file.error().message.find("cut: "), 0u);
    }
  }
}

}  // namespace
}  // namespace carat
