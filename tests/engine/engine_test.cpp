// Sampling rules, whole characters, and sessions: greedy text equals step-by-step logits, prefixes are
// reused, and every way of stopping.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "base/progress.h"
#include "engine/generate.h"
#include "engine/sampler.h"
#include "engine/utf8_stream.h"
#include "model/synth.h"

namespace carat {
namespace {

std::map<Token, int> draws(const SamplerOptions& options, const std::vector<float>& logits, int n) {
  Sampler sampler = Sampler::create(options).take();
  std::map<Token, int> counts;
  for (int i = 0; i < n; ++i) ++counts[sampler.sample(logits).take()];
  return counts;
}

TEST(Sampler, GreedyTakesTheLikeliestAndTheLowestIdOfEquals) {
  EXPECT_EQ(draws({.temperature = 0}, {1, 3, 2, 3}, 5), (std::map<Token, int>{{1, 5}}));
  EXPECT_EQ(draws({.temperature = 0, .suppressed = {1}}, {1, 3, 2, 3}, 5), (std::map<Token, int>{{3, 5}}));
}

TEST(Sampler, DrawsByProbability) {
  const std::vector<float> logits = {0, std::log(2.0f), -INFINITY, std::log(5.0f)};
  const auto counts = draws({.top_k = 0, .top_p = 1}, logits, 40000);
  EXPECT_FALSE(counts.contains(2));
  EXPECT_NEAR(counts.at(0) / 40000.0, 1 / 8.0, 0.01);
  EXPECT_NEAR(counts.at(1) / 40000.0, 2 / 8.0, 0.01);
  EXPECT_NEAR(counts.at(3) / 40000.0, 5 / 8.0, 0.01);
  // At temperature 0.5 probabilities go as their squares.
  EXPECT_NEAR(draws({.temperature = 0.5, .top_k = 0, .top_p = 1}, logits, 40000).at(3) / 40000.0, 25 / 30.0,
              0.01);
}

TEST(Sampler, TopKAndTopPCutTheTail) {
  const std::vector<float> logits = {0, std::log(2.0f), std::log(3.0f), std::log(4.0f)};  // 0.1 0.2 0.3 0.4
  EXPECT_EQ(draws({.top_k = 2, .top_p = 1}, logits, 2000).size(), 2u);
  EXPECT_EQ(draws({.top_k = 1, .top_p = 1}, logits, 100), (std::map<Token, int>{{3, 100}}));
  EXPECT_EQ(draws({.top_k = 0, .top_p = 0.65}, logits, 2000).size(), 2u);
  EXPECT_EQ(draws({.top_k = 0, .top_p = 0.75}, logits, 2000).size(), 3u);
  EXPECT_EQ(draws({.top_k = 0, .top_p = 0.01}, logits, 100), (std::map<Token, int>{{3, 100}}));
}

TEST(Sampler, SameSeedSameTokens) {
  const std::vector<float> logits(50, 1.0f);
  const auto text = [&](uint64_t seed) {
    Sampler sampler = Sampler::create({.seed = seed}).take();
    std::vector<Token> tokens;
    for (int i = 0; i < 30; ++i) tokens.push_back(sampler.sample(logits).take());
    return tokens;
  };
  EXPECT_EQ(text(1), text(1));
  EXPECT_NE(text(1), text(2));
}

TEST(Sampler, RefusesNonsense) {
  EXPECT_FALSE(Sampler::create({.temperature = -1}));
  EXPECT_FALSE(Sampler::create({.temperature = NAN}));
  EXPECT_FALSE(Sampler::create({.top_k = -1}));
  EXPECT_FALSE(Sampler::create({.top_p = 0}));
  EXPECT_FALSE(Sampler::create({.top_p = 1.1}));
  Sampler sampler = Sampler::create({}).take();
  EXPECT_FALSE(sampler.sample(std::vector<float>{NAN, NAN, -INFINITY}));
  EXPECT_EQ(sampler.sample(std::vector<float>{NAN, 1, NAN}).take(), 1);
}

TEST(Utf8Stream, GivesWholeCharacters) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("a\xe2"), "a");
  EXPECT_EQ(stream.push("\x82"), "");
  EXPECT_EQ(stream.push("\xac!"), "€!");
  EXPECT_EQ(stream.push("\xf0\x9f\x98"), "");
  EXPECT_EQ(stream.push("\x80"), "\xf0\x9f\x98\x80");
  EXPECT_EQ(stream.push("\xff"), "\xff");
  EXPECT_EQ(stream.push("x\x82\x82"), "x\x82\x82");
  EXPECT_EQ(stream.push("\xc3"), "");
  EXPECT_EQ(stream.flush(), "\xc3");
  EXPECT_EQ(stream.flush(), "");
}

std::shared_ptr<const Model> small_model(TensorType head = TensorType::Q4_0) {
  const auto path = std::filesystem::temp_directory_path() / fmt::format("carat_engine_{}.gguf", ::getpid());
  synthesize(SynthShape{.like = "e2b", .n_layers = 10, .width_divisor = 16, .n_vocab = 512},
             {.embedding_type = head, .seed = 2}, path.string())
      .take();
  auto model = open_model(path.string()).take();
  std::filesystem::remove(path);  // the mapping stays
  return model;
}

struct SessionTest : testing::Test {
  static inline std::shared_ptr<const Model> model;
  static void SetUpTestSuite() { model = small_model(); }
  static void TearDownTestSuite() { model.reset(); }
  void TearDown() override { interrupt_requested = false; }

  std::unique_ptr<Session> session(const SessionOptions& options = {.n_positions = 100,
                                                                    .max_batch = 8}) const {
    return Session::create(model, make_cpu_backend({}).take(), options).take();
  }
  const std::vector<Token> prompt = {2, 300, 400, 310, 333, 480, 470, 405, 411, 377, 390};
  const GenerateOptions greedy{.max_tokens = 12, .stop_at_end = false, .sampler = {.temperature = 0}};
};

TEST_F(SessionTest, GreedyTextIsTheArgmaxOfEachStep) {
  const Generation generation = session()->generate(prompt, greedy).take();
  ASSERT_EQ(generation.tokens.size(), 12u);
  EXPECT_EQ(generation.stopped, StopReason::limit);
  EXPECT_EQ(generation.n_prompt, 11);
  EXPECT_GT(generation.prompt_tokens_per_second(), 0);
  EXPECT_GT(generation.decode_tokens_per_second(), 0);

  const auto backend = make_cpu_backend({}).take();
  Forward forward = Forward::create(model, *backend).take();
  std::vector<Token> text = prompt;
  std::vector<float> logits(512);
  for (const Token token : generation.tokens) {
    KvCache cache = KvCache::create(model->config, {.n_positions = 100, .max_batch = 100}, *backend).take();
    forward.logits(prefill(forward, cache, text), 1, logits.data());
    EXPECT_EQ(token, std::max_element(logits.begin(), logits.end()) - logits.begin());
    text.push_back(token);
  }
}

// Whatever the sampler asks for, it chooses as it would from all logits; with a screened head, too.
TEST_F(SessionTest, SamplersChooseAsFromAllLogits) {
  const SamplerOptions samplers[] = {{.temperature = 0}, {}, {.top_k = 3, .seed = 5}, {.top_k = 0, .top_p = 0.8},
                                     {.top_k = 1000, .top_p = 1, .suppressed = {5, 300, 301, 302, 4000}}};
  const auto screened = small_model(TensorType::Q8_0);  // Q4_0 heads have no screen
  for (const SamplerOptions& options : samplers)
    for (const bool screen : {false, true}) {
      const SessionOptions session_options{.n_positions = 100, .max_batch = 8, .screen_head = screen};
      const auto made = Session::create(screened, make_cpu_backend({}).take(), session_options).take();
      const auto text = made->generate(prompt, {.max_tokens = 40, .stop_at_end = false, .sampler = options}).take();
      const auto backend = make_cpu_backend({}).take();
      Forward forward = Forward::create(screened, *backend).take();
      KvCache cache = KvCache::create(screened->config, {.n_positions = 100, .max_batch = 100}, *backend).take();
      Sampler sampler = Sampler::create(options).take();
      std::vector<float> logits(512);
      forward.logits(prefill(forward, cache, prompt), 1, logits.data());
      for (const Token token : text.tokens) {
        ASSERT_EQ(token, sampler.sample(logits).take());
        forward.logits(prefill(forward, cache, {&token, 1}), 1, logits.data());
      }
      EXPECT_EQ(made->forward().screen_bytes() > 0, screen);
    }
}

TEST_F(SessionTest, APrefixInTheCacheIsNotComputedAgain) {
  const auto fresh = session(), used = session();
  std::vector<Token> longer = prompt;
  for (const Token token : used->generate(prompt, greedy).take().tokens) longer.push_back(token);
  longer.push_back(350);
  const Generation again = used->generate(longer, greedy).take();
  EXPECT_EQ(again.n_reused, 22);  // the last generated token was never fed
  EXPECT_EQ(again.n_prompt, 2);
  EXPECT_EQ(again.tokens, fresh->generate(longer, greedy).take().tokens);
  // Another text: everything anew, and the same prompt once more: all but its last token is there.
  const std::vector<Token> other = {2, 444, 445, 446};
  EXPECT_EQ(used->generate(other, greedy).take().tokens, session()->generate(other, greedy).take().tokens);
  const Generation repeated = used->generate(other, greedy).take();
  EXPECT_EQ(repeated.tokens, session()->generate(other, greedy).take().tokens);
}

TEST_F(SessionTest, StopsForEveryReason) {
  const Generation limit = session()->generate(prompt, greedy).take();
  GenerateOptions options = greedy;
  options.max_tokens = 1000;
  EXPECT_EQ(session({.n_positions = 15, .max_batch = 8})->generate(prompt, options).take().stopped,
            StopReason::context_full);
  int n_seen = 0;
  const Generation called = session()->generate(prompt, options, [&](Token) { return ++n_seen < 3; }).take();
  EXPECT_EQ(called.stopped, StopReason::callback);
  EXPECT_EQ(called.tokens.size(), 3u);
  EXPECT_TRUE(std::equal(called.tokens.begin(), called.tokens.end(), limit.tokens.begin()));
  // Only end-of-generation tokens left to choose from.
  options.stop_at_end = true;
  for (Token token = 0; token < 512; ++token)
    if (token != 106) options.sampler.suppressed.push_back(token);
  const Generation ended = session()->generate(prompt, options).take();
  EXPECT_EQ(ended.stopped, StopReason::end_of_generation);
  EXPECT_EQ(ended.tokens, std::vector<Token>{106});
  interrupt_requested = true;
  EXPECT_EQ(session()->generate(prompt, greedy).take().stopped, StopReason::interrupted);
}

TEST_F(SessionTest, RefusesBadRequests) {
  EXPECT_EQ(session()->generate({}, greedy).error().message, "the prompt is empty");
  EXPECT_EQ(session()->generate(std::vector<Token>{2, 512}, greedy).error().message,
            "512 is not a token of this model");
  EXPECT_EQ(session({.n_positions = 4, .max_batch = 8})->generate(prompt, greedy).error().message,
            "the prompt has 11 tokens, but only 4 fit the context");
  EXPECT_FALSE(session()->generate(prompt, {.sampler = {.top_p = 2}}));
  EXPECT_FALSE(Session::create(model, make_cpu_backend({}).take(), {.n_positions = 0}));
  EXPECT_EQ(Session::create(model, make_cpu_backend({}).take(), {.kv_type = TensorType::Q8_1}).error().message,
            "cache type Q8_1: expected one that Carat can encode");
}

TEST_F(SessionTest, RefusesSamplersBeforeItComputes) {
  const auto used = session();
  EXPECT_FALSE(used->generate(prompt, {.sampler = {.top_p = 2}}));
  const Generation generation = used->generate(prompt, greedy).take();
  EXPECT_EQ(generation.n_reused, 0);
  EXPECT_EQ(generation.n_prompt, 11);
}

}  // namespace
}  // namespace carat
