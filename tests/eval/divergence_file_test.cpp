// Base files: the encoding by the format's formulas, what is read back, and what is refused.
#include "eval/divergence_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "eval/small_models.h"

namespace carat {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

template <class T>
void append(std::string& to, const T& value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

// n_ctx 6 (2 records a chunk), 5 tokens (a pad), 2 chunks.
std::string small_file() {
  std::string file = "_logits_";
  for (const int32_t n : {6, 5, 2}) append(file, n);
  for (int32_t i = 0; i < 12; ++i) append(file, i % 5);
  for (uint16_t record = 0; record < 4; ++record) {
    append(file, 0.0001f), append(file, -6.6f);
    for (uint16_t v = 0; v < 5; ++v) append(file, static_cast<uint16_t>(1000 * record + v));
    append(file, uint16_t{0});
  }
  return file;
}

TEST(DivergenceFile, RecordsAreByTheFormula) {
  const std::vector<float> logits{1.5f, -2.0f, 7.25f, -30.0f, kNever, 7.25f, -8.5f};
  std::vector<std::byte> bytes;
  encode_record(logits, bytes);
  ASSERT_EQ(bytes.size(), 2u * (8 + 4));
  const DivergenceRecord record(bytes.data());
  double sum = 0;
  for (const float z : logits) sum += std::exp(z - 7.25);
  const double bottom = 7.25 - 16;  // -30 lies below what can be told
  EXPECT_NEAR(record.scale(), 16.0 / 65535, 1e-9);
  EXPECT_NEAR(record.floor(), bottom - 7.25 - std::log(sum), 1e-5);
  for (size_t v = 0; v < logits.size(); ++v) {
    EXPECT_EQ(record.code(static_cast<int64_t>(v)),
              std::max(0.0, std::nearbyint((std::max<double>(logits[v], bottom) - bottom) / (16.0 / 65535))));
    const double log_p = std::max<double>(logits[v], bottom) - 7.25 - std::log(sum);
    EXPECT_NEAR(record.log_probability(static_cast<int64_t>(v)), log_p, 0.5 * 16 / 65535 + 1e-5);
  }
  EXPECT_EQ(bytes[22], std::byte{0});  // the pad
  EXPECT_EQ(bytes[23], std::byte{0});

  encode_record(std::vector<float>(4, 3.0f), bytes);  // all alike: no steps
  EXPECT_EQ(DivergenceRecord(bytes.data()).scale(), 0);
  EXPECT_NEAR(DivergenceRecord(bytes.data()).log_probability(2), -std::log(4.0), 1e-6);
}

TEST(DivergenceFile, ReadsWhatTheFormatSays) {
  const std::string file = small_file();
  const DivergenceBase base = parse_divergence_base(bytes_of(file), "base").take();
  EXPECT_EQ(base.n_ctx, 6);
  EXPECT_EQ(base.n_vocab, 5);
  EXPECT_EQ(base.n_chunks, 2);
  EXPECT_EQ(base.records_per_chunk(), 2);
  EXPECT_EQ(base.record_bytes(), 20u);
  EXPECT_EQ(base.tokens[7], 2);
  EXPECT_NEAR(base.record(3).log_probability(4), 0.0001 * 3004 - 6.6, 1e-5);
}

TEST(DivergenceFile, EveryPrefixIsRefused) {
  const std::string file = small_file();
  for (size_t n = 0; n < file.size(); ++n) {
    const std::string part = file.substr(0, n);
    const auto base = parse_divergence_base(bytes_of(part), "base");
    ASSERT_FALSE(base.has_value()) << n;
    EXPECT_TRUE(base.error().message.starts_with("base: ")) << base.error().message;
  }
  EXPECT_FALSE(parse_divergence_base(bytes_of(file + "x"), "base").has_value());
}

TEST(DivergenceFile, NumbersOutOfRangeAreRefused) {
  const auto refused = [](size_t at, auto value) {
    std::string file = small_file();
    std::memcpy(file.data() + at, &value, sizeof value);
    return !parse_divergence_base(bytes_of(file), "base").has_value();
  };
  EXPECT_FALSE(refused(8, int32_t{6}));  // as it is
  for (const size_t at : {8, 12, 16})
    for (const int32_t n : {0, -1, 1 << 25, std::numeric_limits<int32_t>::max(), std::numeric_limits<int32_t>::min()})
      EXPECT_TRUE(refused(at, n)) << at << " " << n;
  EXPECT_TRUE(refused(20, int32_t{5}));
  EXPECT_TRUE(refused(20, int32_t{-1}));
  const size_t first = 20 + 48;
  for (const float f : {NAN, INFINITY, -1.0f, 1.0f}) EXPECT_TRUE(refused(first, f)) << f;
  for (const float f : {NAN, -INFINITY, 1.0f}) EXPECT_TRUE(refused(first + 4, f)) << f;
}

class BaseTest : public testing::Test {
 protected:
  SmallModels models_;
  std::shared_ptr<const Model> parent_ = models_.make(1);
  std::shared_ptr<const Model> q4_ = models_.quantized(*parent_, TensorType::Q4_0, "q4_0");
  const std::string path_ = (std::filesystem::temp_directory_path() / ("carat_base_" + std::to_string(getpid()))).string();
  PerplexityOptions options_{.n_ctx = 32, .n_threads = 2};
  std::vector<Token> text_;

  BaseTest() {
    Random random(2);
    for (int i = 0; i < 170; ++i) text_.push_back(static_cast<Token>(random.below(600)));
  }
  void TearDown() override { std::filesystem::remove(path_); }
};

TEST_F(BaseTest, ABaseOfOursTellsWhatLockstepTells) {
  const PerplexityReport expected = perplexity(q4_, parent_, text_, options_).take();
  const PerplexityReport written = write_divergence_base(parent_, text_, options_, path_).take();
  EXPECT_EQ(written.perplexity.value, expected.reference_perplexity->value);
  const DivergenceBase base = open_divergence_base(path_).take();
  EXPECT_EQ(base.n_chunks, 5);
  EXPECT_TRUE(std::equal(base.tokens.begin(), base.tokens.end(), text_.begin()));  // BOS not put in
  const PerplexityReport report = diverge_from_base(q4_, base, options_).take();
  EXPECT_EQ(report.n_tokens, expected.n_tokens);
  EXPECT_EQ(report.perplexity.value, expected.perplexity.value);
  // Random text: to some of its tokens the parent gives less than a file can tell, none is made less likely than it is.
  EXPECT_LE(std::log(report.reference_perplexity->value), std::log(expected.reference_perplexity->value) + 1.3e-4);
  EXPECT_GT(std::log(report.reference_perplexity->value), 8);
  EXPECT_NEAR(report.divergence->kld.value, expected.divergence->kld.value, 2e-4);
  EXPECT_NEAR(report.divergence->kld_p99, expected.divergence->kld_p99, 2e-3);
  EXPECT_NEAR(report.divergence->rms_dp.value, expected.divergence->rms_dp.value, 1e-4);
  EXPECT_NEAR(report.divergence->top1.value, expected.divergence->top1.value, 0.05);
  EXPECT_GT(report.divergence->kld.value, 0);

  // 16 bits over 16 nats: the log-probability of a token that can be told is right to 1.3e-4.
  LockstepRequest request;
  const Suite suite = chunks_of(text_, 32, 0, parent_->tokenizer.bos());
  request.suite = &suite;
  request.models = {{parent_}};
  const LockstepScores scores = run_lockstep(request).take();
  const std::vector<float>& nll = scores.models[0].token_nll;
  for (size_t i = 0; i < nll.size(); ++i) {
    const auto record = base.record(static_cast<int64_t>(i));
    const Token next = text_[32 * (i / 15) + 17 + i % 15];  // 15 records a chunk
    EXPECT_NEAR(record.log_probability(next), std::max(-nll[i], record.floor()), 1.3e-4) << i;
  }

  const PerplexityReport itself = diverge_from_base(parent_, base, options_).take();
  EXPECT_NEAR(itself.divergence->kld.value, 0, 1e-6);
  const PerplexityReport two = diverge_from_base(q4_, base, {.n_ctx = 32, .max_chunks = 2}).take();
  EXPECT_EQ(two.n_chunks, 2);
}

TEST_F(BaseTest, AnotherVocabularyIsRefusedAndNothingHalfIsWritten) {
  write_divergence_base(parent_, text_, options_, path_).take();
  DivergenceBase base = open_divergence_base(path_).take();
  base.n_vocab = 601;
  EXPECT_NE(diverge_from_base(q4_, base, options_).error().message.find("601"), std::string::npos);
  std::filesystem::remove(path_);
  interrupt_requested.store(true);
  EXPECT_FALSE(write_divergence_base(parent_, text_, options_, path_).has_value());
  interrupt_requested.store(false);
  EXPECT_FALSE(std::filesystem::exists(path_));
}

}  // namespace
}  // namespace carat
