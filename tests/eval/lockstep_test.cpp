// Lockstep against a computation that is as plain as possible, and its promise that batches and threads do
// not matter.
#include "eval/lockstep.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/file.h"
#include "eval/perplexity.h"
#include "eval/saved_scores.h"
#include "eval/small_models.h"
#include "model/forward.h"

namespace carat {
namespace {

using Matrix = std::vector<std::vector<double>>;  // log-probabilities [n_positions][n_vocab]

// One item alone, one call, every row, log-softmax in long double.
Matrix plain_log_probabilities(const std::shared_ptr<const Model>& model, const SuiteItem& item,
                               KvType kv) {
  const auto backend = make_cpu_backend({.n_threads = 1, .precision = Precision::exact}).take();
  const auto n = static_cast<int64_t>(item.tokens.size());
  Forward forward = Forward::create(model, *backend, {.max_rows = n}).take();
  KvCache cache = KvCache::create(model->config, {n, n, kv}, *backend).take();
  const Chunk chunk{&cache, item.tokens};
  const auto hidden = forward.run({&chunk, 1}, Rows::all);
  const auto n_vocab = static_cast<size_t>(model->config.n_vocab);
  std::vector<float> logits(static_cast<size_t>(n) * n_vocab);
  forward.logits(hidden, n, logits.data());
  Matrix result;
  for (size_t r = 0; r < static_cast<size_t>(n); ++r) {
    long double sum = 0;
    for (size_t v = 0; v < n_vocab; ++v) sum += std::exp(static_cast<long double>(logits[r * n_vocab + v]));
    result.emplace_back();
    for (size_t v = 0; v < n_vocab; ++v)
      result.back().push_back(static_cast<double>(logits[r * n_vocab + v] - std::log(sum)));
  }
  return result;
}

size_t argmax(const std::vector<double>& row) {
  return static_cast<size_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

class LockstepTest : public testing::Test {
 protected:
  SmallModels models_;
  std::shared_ptr<const Model> parent_ = models_.make(1);
  std::shared_ptr<const Model> q4_ = models_.quantized(*parent_, TensorType::Q4_0, "q4_0");
  Suite suite_ = random_suite(10, 9, 40, 600, parent_->tokenizer.bos());

  LockstepRequest request() const {
    LockstepRequest r;
    r.suite = &suite_;
    r.models = {{parent_, TensorType::F16}, {q4_, TensorType::F16}, {parent_, TensorType::Q8_0}};
    r.pairs = {{1, 0}, {2, 0}, {0, 1}};
    return r;
  }
};

// What several processes do, without them: each its share, put together item by item.
TEST_F(LockstepTest, SharesAddUpToTheWhole) {
  const LockstepScores whole = run_lockstep(request()).take();
  LockstepScores joined = empty_scores(suite_, 3, 3);
  constexpr int kShares = 3;
  for (int share = 0; share < kShares; ++share) {
    LockstepRequest r = request();
    r.share = share;
    r.n_shares = kShares;
    const LockstepScores part = run_lockstep(r).take();
    std::vector<int64_t> items;
    for (int64_t i = share; i < part.n_items(); i += kShares) items.push_back(i);
    copy_scores(part, items, joined);
  }
  const auto bytes = [&](const LockstepScores& scores) {
    return scores_to_bytes({}, {std::vector<uint8_t>(suite_.items.size(), 1), scores});
  };
  EXPECT_EQ(bytes(joined), bytes(whole));
}

TEST_F(LockstepTest, MatchesThePlainComputation) {
  LockstepRequest r = request();
  r.max_rows = 32;  // some items share a batch, some need two calls
  const LockstepScores scores = run_lockstep(r).take();
  ASSERT_EQ(scores.n_items(), 10);
  for (size_t i = 0; i < suite_.items.size(); ++i) {
    const SuiteItem& item = suite_.items[i];
    std::vector<Matrix> plain;
    for (const ModelUnderTest& m : r.models) plain.push_back(plain_log_probabilities(m.model, item, m.kv));
    EXPECT_EQ(scores.n_tokens[i], static_cast<double>(item.tokens.size()) - item.first_scored);
    for (size_t m = 0; m < plain.size(); ++m) {
      double nll = 0, answer_nll = 0;
      for (size_t t = static_cast<size_t>(item.first_scored); t < item.tokens.size(); ++t) {
        const double log_p = plain[m][t - 1][static_cast<size_t>(item.tokens[t])];
        nll -= log_p;
        if (t == 4 || t == 6 || t == 7) answer_nll -= log_p;
      }
      EXPECT_NEAR(scores.models[m].nll[i], nll, 1e-9);
      EXPECT_NEAR(scores.models[m].answer_nll[i], answer_nll, 1e-9);
      const auto right = [&](size_t t) {
        return argmax(plain[m][t - 1]) == static_cast<size_t>(item.tokens[t]);
      };
      EXPECT_EQ(scores.models[m].correct[2 * i] != 0, right(4));
      EXPECT_EQ(scores.models[m].correct[2 * i + 1] != 0, right(6) && right(7));
    }
    for (size_t p = 0; p < r.pairs.size(); ++p) {
      const Matrix &q = plain[static_cast<size_t>(r.pairs[p].model)],
                   &reference = plain[static_cast<size_t>(r.pairs[p].reference)];
      double kld = 0, same_top = 0, squares = 0;
      for (size_t t = static_cast<size_t>(item.first_scored); t < item.tokens.size(); ++t) {
        for (size_t v = 0; v < 600; ++v)
          kld += std::exp(reference[t - 1][v]) * (reference[t - 1][v] - q[t - 1][v]);
        same_top += argmax(reference[t - 1]) == argmax(q[t - 1]);
        const auto token = static_cast<size_t>(item.tokens[t]);
        squares += std::pow(std::exp(q[t - 1][token]) - std::exp(reference[t - 1][token]), 2);
      }
      EXPECT_NEAR(scores.pairs[p].kld[i], kld, 1e-7 + 1e-5 * kld);
      EXPECT_GT(scores.pairs[p].kld[i], 0);
      EXPECT_EQ(scores.pairs[p].same_top[i], same_top);
      EXPECT_NEAR(scores.pairs[p].squared_delta_p[i], squares, 1e-9);
    }
  }
}

void expect_same_bits(const LockstepScores& scores, const LockstepScores& expected) {
  ASSERT_EQ(scores.models.size(), expected.models.size());
  ASSERT_EQ(scores.pairs.size(), expected.pairs.size());
  for (size_t m = 0; m < scores.models.size(); ++m) {
    EXPECT_EQ(scores.models[m].nll, expected.models[m].nll);
    EXPECT_EQ(scores.models[m].answer_nll, expected.models[m].answer_nll);
    EXPECT_EQ(scores.models[m].correct, expected.models[m].correct);
    EXPECT_EQ(scores.models[m].token_nll, expected.models[m].token_nll);
  }
  for (size_t p = 0; p < scores.pairs.size(); ++p) {
    EXPECT_EQ(scores.pairs[p].kld, expected.pairs[p].kld);
    EXPECT_EQ(scores.pairs[p].answer_kld, expected.pairs[p].answer_kld);
    EXPECT_EQ(scores.pairs[p].squared_delta_p, expected.pairs[p].squared_delta_p);
    EXPECT_EQ(scores.pairs[p].token_kld, expected.pairs[p].token_kld);
    EXPECT_EQ(scores.pairs[p].same_top, expected.pairs[p].same_top);
    EXPECT_EQ(scores.pairs[p].answer_same_top, expected.pairs[p].answer_same_top);
  }
}

TEST_F(LockstepTest, BatchesAndThreadsDoNotMatter) {
  const LockstepScores expected = run_lockstep(request()).take();
  struct Way {
    int n_threads, n_workers;
    int64_t max_rows;
  };
  for (const Way& way : {Way{1, 0, 7}, Way{2, 1, 64}, Way{2, 2, 20}, Way{3, 2, 512}}) {
    LockstepRequest r = request();
    r.n_threads = way.n_threads;
    r.n_workers = way.n_workers;
    r.max_rows = way.max_rows;
    expect_same_bits(run_lockstep(r).take(), expected);
  }
}

// A whole model's weights read in again in every pass, layer by layer, or all there: the same bits.
TEST_F(LockstepTest, PassesAndMemoryDoNotMatter) {
  const LockstepScores expected = run_lockstep(request()).take();
  for (const int64_t pass_tokens : {1, 30, 100, 100000})
    for (const bool keep : {true, false}) {
      LockstepRequest r = request();
      r.n_threads = 2;
      r.max_rows = 16;
      r.pass_tokens = pass_tokens;
      r.keep_weights = keep;
      LockstepPlan plan;
      r.on_plan = [&](const LockstepPlan& p) { plan = p; };
      expect_same_bits(run_lockstep(r).take(), expected);
      EXPECT_EQ(plan.streams(), !keep);
      EXPECT_EQ(plan.n_files, 2u);
      EXPECT_EQ(plan.n_models, 3u);
      EXPECT_EQ(plan.n_passes == suite_.items.size(), pass_tokens == 1);
      EXPECT_EQ(plan.n_passes == 1, pass_tokens == 100000);
      EXPECT_GE(plan.read_bytes, plan.n_passes * plan.pass_bytes);
    }
}

TEST_F(LockstepTest, TilesComeInOrderOfTheSuite) {
  LockstepRequest r = request();
  r.n_threads = 3;
  r.pass_tokens = 50;
  std::vector<std::pair<int64_t, int64_t>> seen;
  std::vector<float> nll;
  r.observe = [&](const LogitTile& tile) -> Result<void> {
    for (size_t i = 0; i < tile.rows.size(); ++i) {
      const auto [item, position] = tile.rows[i];
      seen.emplace_back(item, position);
      const Token next = suite_.items[static_cast<size_t>(item)].tokens[static_cast<size_t>(position + 1)];
      nll.push_back(static_cast<float>(-log_probability(tile.logits(1, i), tile.summary(1, i), next)));
    }
    return {};
  };
  const LockstepScores scores = run_lockstep(r).take();
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_EQ(static_cast<int64_t>(seen.size()), suite_.n_scored_tokens());
  EXPECT_EQ(nll, scores.models[1].token_nll);
  r.observe = [](const LogitTile&) -> Result<void> { return fail("seen enough"); };
  EXPECT_EQ(run_lockstep(r).error().message, "seen enough");
}

class SavedTest : public LockstepTest {
 protected:
  const std::string path_ =
      (std::filesystem::temp_directory_path() / ("carat_saved_" + std::to_string(getpid()))).string();
  void TearDown() override { std::filesystem::remove(path_); }

  LockstepRequest saving() const {
    LockstepRequest r = request();
    r.pass_tokens = 60;
    r.saved_path = path_;
    for (ModelUnderTest& m : r.models) m.fingerprint = "print";
    return r;
  }
  // Runs until some of the work is done, then is interrupted.
  void run_in_part(LockstepRequest r, double share) {
    r.progress = [&](uint64_t done, uint64_t total, std::string_view) {
      if (static_cast<double>(done) > share * static_cast<double>(total)) interrupt_requested.store(true);
    };
    const auto result = run_lockstep(r);
    interrupt_requested.store(false);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().message, "interrupted");
  }
};

TEST_F(SavedTest, AnInterruptedRunGoesOnWhereItEnded) {
  const LockstepScores expected = run_lockstep(request()).take();
  run_in_part(saving(), 0.5);
  run_in_part(saving(), 0.5);
  LockstepRequest r = saving();
  LockstepPlan plan;
  r.on_plan = [&](const LockstepPlan& p) { plan = p; };
  expect_same_bits(run_lockstep(r).take(), expected);
  EXPECT_GT(plan.n_items_saved, 2);
  EXPECT_GT(plan.n_passes, 0u);
  // Now everything is there: nothing runs.
  bool ran = false;
  r.on_plan = [&](const LockstepPlan&) { ran = true; };
  expect_same_bits(run_lockstep(r).take(), expected);
  EXPECT_FALSE(ran);
}

TEST_F(SavedTest, AnotherRequestIsRefusedAndLeavesTheFile) {
  run_in_part(saving(), 0.5);
  const std::string before = read_file(path_).take();
  const auto message = [&](auto&& change) {
    LockstepRequest r = saving();
    Suite suite = suite_;
    change(r, suite);
    r.suite = &suite;
    const auto result = run_lockstep(r);
    return result ? std::string("ran") : result.error().message;
  };
  EXPECT_NE(message([](auto&, Suite& s) { s.items[9].tokens[3] ^= 1; }).find("suite is"), std::string::npos);
  EXPECT_NE(message([](auto& r, Suite&) { r.models[1].fingerprint = "other"; }).find("file 2 is print there and other here"),
            std::string::npos);
  EXPECT_NE(message([](auto& r, Suite&) { r.models[2].kv = TensorType::F32; }).find("cache 3 is Q8_0 there and F32 here"),
            std::string::npos);
  EXPECT_NE(message([](auto& r, Suite&) { r.models[0].precision = Precision::fast; }).find("arithmetic 1"),
            std::string::npos);
  EXPECT_NE(message([](auto& r, Suite&) { r.pairs.pop_back(); }).find("pairs"), std::string::npos);
  EXPECT_NE(message([](auto& r, Suite&) {
              r.models.pop_back();
              r.pairs = {{1, 0}};
            }).find("number of models"),
            std::string::npos);
  EXPECT_EQ(read_file(path_).take(), before);
}

TEST_F(SavedTest, DamagedFilesAreRefusedInOneLine) {
  run_in_part(saving(), 0.5);
  const std::string whole = read_file(path_).take();
  const auto load = [&](const std::string& content) {
    write_file(path_, content).take();
    return run_lockstep(saving());
  };
  for (size_t n = 0; n < whole.size(); n += n < 400 ? 1 : 997) {
    const auto result = load(whole.substr(0, n));
    ASSERT_FALSE(result.has_value()) << n;
    EXPECT_TRUE(result.error().message.starts_with(path_ + ": ")) << result.error().message;
    EXPECT_EQ(result.error().message.find('\n'), std::string::npos);
  }
  std::string spoilt = whole;
  spoilt[whole.size() - 100] = static_cast<char>(spoilt[whole.size() - 100] ^ 4);
  EXPECT_NE(load(spoilt).error().message.find("damaged"), std::string::npos);
  EXPECT_FALSE(load(whole + "x").has_value());
  EXPECT_TRUE(load(whole).has_value());
}

TEST_F(LockstepTest, AModelDoesNotDivergeFromItself) {
  LockstepRequest r = request();
  r.models = {{parent_}, {parent_}};
  r.pairs = {{1, 0}};
  const LockstepScores scores = run_lockstep(r).take();
  for (size_t i = 0; i < suite_.items.size(); ++i) {
    EXPECT_EQ(scores.pairs[0].kld[i], 0);
    EXPECT_EQ(scores.pairs[0].same_top[i], scores.n_tokens[i]);
  }
}

TEST_F(LockstepTest, RefusesWhatCannotBeScored) {
  const auto message = [&](auto&& spoil) {
    Suite spoilt = suite_;
    LockstepRequest r = request();
    r.suite = &spoilt;
    spoil(spoilt, r);
    const auto result = run_lockstep(r);
    return result.has_value() ? std::string() : result.error().message;
  };
  EXPECT_NE(message([](Suite& s, auto&) { s.items[3].tokens[2] = 600; }).find("token 600"),
            std::string::npos);
  EXPECT_NE(message([](Suite& s, auto&) { s.items[3].tokens[2] = -1; }).find("token -1"), std::string::npos);
  EXPECT_NE(message([](Suite& s, auto&) { s.items[0].first_scored = 0; }).find("item 0"), std::string::npos);
  EXPECT_NE(message([](Suite& s, auto&) {
              s.items[0].answers[1] = {4, 90};
            }).find("answer"),
            std::string::npos);
  EXPECT_NE(message([](Suite& s, auto&) { std::swap(s.items[0].answers[0], s.items[0].answers[1]); }), "");
  EXPECT_NE(message([](Suite& s, auto&) { s.items.clear(); }).find("no items"), std::string::npos);
}

TEST_F(LockstepTest, ProgressCountsEveryTokenAndInterruptionEnds) {
  LockstepRequest r = request();
  uint64_t last = 0, total = 0;
  r.progress = [&](uint64_t done, uint64_t all, std::string_view) { last = done, total = all; };
  (void)run_lockstep(r).take();
  EXPECT_EQ(last, total);
  EXPECT_GT(total, 0u);
  interrupt_requested.store(true);
  const auto result = run_lockstep(r);
  interrupt_requested.store(false);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().message, "interrupted");
}

TEST_F(LockstepTest, PerplexityByChunks) {
  Random random(2);
  std::vector<Token> text(100);
  for (Token& token : text) token = static_cast<Token>(random.below(600));
  const Suite chunks = chunk_suite(text, 32, 0, parent_->tokenizer.bos()).take();
  ASSERT_EQ(chunks.items.size(), 3u);  // the rest of 4 tokens is dropped
  EXPECT_EQ(chunks.items[1].tokens[0], parent_->tokenizer.bos());
  EXPECT_EQ(chunks.items[1].tokens[1], text[33]);
  EXPECT_EQ(chunks.items[1].n_scored(), 15);  // n_ctx - 1 - n_ctx / 2

  double nll = 0;
  for (const SuiteItem& item : chunks.items) {
    const Matrix plain = plain_log_probabilities(q4_, item, TensorType::F16);
    for (size_t t = 17; t < 32; ++t) nll -= plain[t - 1][static_cast<size_t>(item.tokens[t])];
  }
  const PerplexityReport report = perplexity(q4_, parent_, text, {.n_ctx = 32}).take();
  EXPECT_EQ(report.n_tokens, 45);
  EXPECT_NEAR(report.perplexity.value, std::exp(nll / 45), 1e-6 * std::exp(nll / 45));
  EXPECT_GT(report.perplexity.error, 0);
  ASSERT_TRUE(report.divergence.has_value());
  EXPECT_GT(report.divergence->kld.value, 0);
  EXPECT_LE(report.divergence->kld_median, report.divergence->kld_p99);
  EXPECT_NEAR(report.divergence->log_ratio.value,
              std::log(report.perplexity.value / report.reference_perplexity->value), 1e-9);
  EXPECT_FALSE(perplexity(q4_, nullptr, std::span(text).first(60), {.n_ctx = 32}).has_value());
}

TEST(Perplexity, ChunksAreTheWitnesses) {
  // Four chunks of three tokens, all tokens of a chunk alike: as much evidence as four tokens, not twelve.
  LockstepScores scores;
  scores.n_tokens.assign(4, 3.0);
  scores.models.resize(2);
  PairScores pair;
  const double kld[] = {0.1, 0.2, 0.4, 0.5};
  for (size_t i = 0; i < 4; ++i) {
    pair.kld.push_back(3 * kld[i]);
    pair.same_top.push_back(i < 2 ? 3 : 0);
    pair.squared_delta_p.push_back(3 * 0.01 * kld[i]);
    scores.models[0].nll.push_back(3 * (2 + kld[i]));
    scores.models[1].nll.push_back(3 * 2.0);
    for (int t = 0; t < 3; ++t) {
      pair.token_kld.push_back(static_cast<float>(kld[i]));
      scores.models[0].token_nll.push_back(static_cast<float>(2 + kld[i]));
      scores.models[1].token_nll.push_back(2.0f);
    }
  }
  scores.pairs = {pair};
  const double error = std::sqrt((0.04 + 0.01 + 0.01 + 0.04) / 3 / 4);
  const DivergenceSummary summary = summarize_divergence(scores, {0, 1}, 0);
  EXPECT_NEAR(summary.kld.value, 0.3, 1e-12);
  EXPECT_NEAR(summary.kld.error, error, 1e-12);
  EXPECT_NEAR(summary.log_ratio.error, error, 1e-12);
  EXPECT_NEAR(summary.top1.error, std::sqrt(4 * 0.25 / 3 / 4), 1e-12);
  EXPECT_NEAR(summary.rms_dp.error, 0.5 / summary.rms_dp.value * 0.01 * error, 1e-12);
}

}  // namespace
}  // namespace carat
