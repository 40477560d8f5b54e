// compare() on real files: small, untrained, but opened, run and timed like any other.
#include "eval/compare.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "eval/file_facts.h"
#include "eval/small_models.h"

namespace carat {
namespace {

class CompareTest : public testing::Test {
 protected:
  SmallModels models_;
  std::shared_ptr<const Model> parent_ = models_.make(1, "orig");
  std::shared_ptr<const Model> q8_ = models_.quantized(*parent_, TensorType::Q8_0, "orig-q8_0");
  std::shared_ptr<const Model> q4_ = models_.quantized(*parent_, TensorType::Q4_0, "orig-q4_0");
  std::shared_ptr<const Model> other_ = models_.make(2, "retrained");
  std::shared_ptr<const Model> other_q4_ = models_.quantized(*other_, TensorType::Q4_0, "retrained-q4_0");
  Suite suite_ = random_suite(24, 9, 14, 600, parent_->tokenizer.bos());

  CompareRequest request() const {
    CompareRequest r;
    r.suite = &suite_;
    r.files = {{parent_, "", Family::original, -1, 0},
               {q8_, "", Family::original, 0, 0},
               {q4_, "", Family::original, 0, 0},
               {other_, "", Family::qat, -1, 1},
               {other_q4_, "", Family::qat, 3, 1}};
    r.n_threads = 2;
    r.n_resamples = 200;
    return r;
  }
};

bool has(const EvalReport& report, const char* id) {
  return std::any_of(report.warnings.begin(), report.warnings.end(),
                     [&](const Warning& w) { return w.id == id; });
}

TEST_F(CompareTest, FillsARowPerFileAndCacheType) {
  CompareRequest r = request();
  r.kv_types = {TensorType::F16, TensorType::Q8_0};
  r.budget = Budget{uint64_t{1} << 30, 0, 512};
  r.measure_speed = false;
  const EvalReport report = compare(r).take();
  ASSERT_EQ(report.rows.size(), 11u);  // 5 files x 2 types, and the noise floor
  for (const ReportRow& row : report.rows) {
    EXPECT_GT(row.bytes, 0u);
    EXPECT_GT(row.memory_bytes, row.bytes);
    EXPECT_EQ(row.fingerprint.size(), 16u);
    EXPECT_GT(row.nll.estimate, 0);
    EXPECT_EQ(row.categories.size(), 2u);
    EXPECT_EQ(row.context_length, parent_->config.context_length);
  }
  EXPECT_EQ(report.reference, 0);
  EXPECT_EQ(report.rows[2].name, "orig-q4_0");
  EXPECT_EQ(report.rows[2].main_type, TensorType::Q4_0);
  EXPECT_LT(report.rows[1].divergence->kld_mean.estimate, report.rows[2].divergence->kld_mean.estimate);
  EXPECT_EQ(report.rows.back().precision, Precision::fast);
  EXPECT_TRUE(report.recommendation.has_value());
  EXPECT_FALSE(report.machine.empty());
  EXPECT_FALSE(has(report, "wrong-reference"));
  EXPECT_TRUE(has(report, "off-lattice"));  // a random master lies on none
  EXPECT_TRUE(has(report, "one-seed"));
  EXPECT_TRUE(has(report, "no-control"));
  EXPECT_FALSE(has(report, "kv-one-sided"));
  EXPECT_FALSE(has(report, "wrong-parent"));
  ASSERT_EQ(report.tensor_errors.size(), 3u);
  EXPECT_EQ(report.tensor_errors[1].row, 2);
}

TEST_F(CompareTest, MeasuresSpeed) {
  CompareRequest r = request();
  r.files = {{q8_, "", Family::original, -1, 0}};
  const EvalReport report = compare(r).take();
  ASSERT_EQ(report.rows.size(), 2u);  // and the noise floor, which is not timed
  EXPECT_GT(report.rows[0].decode_tok_s, 0);
  EXPECT_GT(report.rows[0].prefill_tok_s, 0);
  EXPECT_GT(report.rows[0].resident_bytes, 0u);
  EXPECT_EQ(report.rows[1].decode_tok_s, 0);
}

TEST_F(CompareTest, NamesTheMistakes) {
  CompareRequest r = request();
  r.measure_speed = false;
  r.files[4].parent = 0;          // the QAT file against the original
  r.files[1].parent = -1;         // no parent
  r.files[2].name = "orig-Q6_K";  // Q4_0 inside
  r.files.push_back({q8_, "again", Family::original, 0, 0});
  suite_.items[5].tokens[0] = 7;  // no BOS
  const EvalReport report = compare(r).take();
  for (const char* id : {"wrong-reference", "wrong-parent", "no-parent", "mislabelled", "same-file", "no-bos", "kv-one-sided",
                         "too-few-items"})
    EXPECT_TRUE(has(report, id)) << id;
  r.kv_types = {TensorType::Q8_0};
  EXPECT_TRUE(has(compare(r).take(), "kv-type"));
}

TEST_F(CompareTest, ParentsWriteForTheirOwnFiles) {
  CompareRequest r = request();
  r.measure_speed = r.noise_floor = false;
  r.kv_types = {TensorType::F16, TensorType::Q8_0};
  r.on_policy = {.n_texts = 6, .max_tokens = 20, .seed = 3};
  const EvalReport report = compare(r).take();
  ASSERT_EQ(report.on_policy_texts.size(), 2u);
  for (const OnPolicyText& text : report.on_policy_texts) {
    EXPECT_TRUE(text.parent == 0 || text.parent == 3);
    EXPECT_GE(text.n_texts, 1);
    EXPECT_LE(text.n_tokens, 6 * 20);
    EXPECT_GE(text.n_tokens, text.n_texts);
  }
  EXPECT_NE(report.on_policy_texts[0].hash, report.on_policy_texts[1].hash);
  for (size_t row = 0; row < report.rows.size(); ++row) {
    EXPECT_EQ(report.rows[row].on_policy.has_value(), report.rows[row].divergence.has_value()) << row;
    const int parent = row % 5 < 3 ? 0 : 3;
    EXPECT_EQ(report.rows[row].on_policy.value_or(Divergence{.reference = parent}).reference, parent);
  }
  EXPECT_LT(report.rows[1].on_policy->kld_mean.estimate, report.rows[2].on_policy->kld_mean.estimate);
  EXPECT_EQ(report.rows[1].on_policy->wins_over, 2);
  // The same again, and another text with another seed.
  EXPECT_EQ(compare(r).take().on_policy_texts[0].hash, report.on_policy_texts[0].hash);
  r.on_policy.seed = 4;
  EXPECT_NE(compare(r).take().on_policy_texts[0].hash, report.on_policy_texts[0].hash);
}

TEST_F(CompareTest, GoesOnFromASource) {
  CompareRequest r = request();
  r.measure_speed = r.noise_floor = false;
  SuiteSource source(random_suite(240, 9, 14, 600, parent_->tokenizer.bos()), 1);
  r.source = &source;
  r.suite = nullptr;
  r.sequential = {.max_items = 200};
  const EvalReport report = compare(r).take();
  ASSERT_FALSE(report.looks.empty());
  EXPECT_EQ(report.looks.front().n_items, 100);
  EXPECT_EQ(report.n_items, report.looks.back().n_items);
  EXPECT_EQ(report.alpha, report.looks.back().alpha);
  // The figures of so many items are those of asking them at once.
  SuiteSource again(random_suite(240, 9, 14, 600, parent_->tokenizer.bos()), 1);
  Suite at_once;
  at_once.items = again.more(report.n_items).take();
  r.source = nullptr;
  r.suite = &at_once;
  const EvalReport other = compare(r).take();
  for (size_t row = 0; row < report.rows.size(); ++row) {
    EXPECT_EQ(report.rows[row].nll.estimate, other.rows[row].nll.estimate);
    EXPECT_EQ(report.rows[row].accuracy.high, other.rows[row].accuracy.high);
  }
  EXPECT_EQ(report.suite_hash, other.suite_hash);
}

TEST_F(CompareTest, AnUnreachableContextIsNotShortened) {
  CompareRequest r = request();
  r.measure_speed = r.noise_floor = false;
  const int64_t asked = parent_->config.context_length + 1;
  r.budget = Budget{0, 0, asked};
  const EvalReport report = compare(r).take();
  EXPECT_EQ(report.n_ctx, asked);
  EXPECT_EQ(report.recommendation->budget.n_ctx, asked);
  EXPECT_TRUE(report.recommendation->fitting.empty());
  EXPECT_TRUE(has(report, "context"));
  EXPECT_TRUE(has(report, "near-chance"));  // untrained
}

TEST_F(CompareTest, RefusesNonsense) {
  CompareRequest r = request();
  r.files[1].parent = 9;
  EXPECT_FALSE(compare(r).has_value());
  r.files[1].parent = 1;
  EXPECT_FALSE(compare(r).has_value());
  r.files.clear();
  EXPECT_FALSE(compare(r).has_value());
}

TEST_F(CompareTest, LatticesAreFound) {
  EXPECT_GT(lattice_error(*parent_, TensorType::Q4_0), 0.05);
  const auto projected = models_.quantized(*q4_, TensorType::F16, "projected");
  EXPECT_LT(lattice_error(*projected, TensorType::Q4_0), 0.005);
}

TEST(Fingerprint, SeesEveryByte) {
  std::vector<std::byte> bytes(1000);
  const std::string before = fingerprint(bytes);
  for (const size_t at : {size_t{0}, size_t{31}, size_t{500}, size_t{992}, size_t{999}}) {
    bytes[at] = std::byte{1};
    EXPECT_NE(fingerprint(bytes), before) << at;
    bytes[at] = std::byte{0};
  }
  EXPECT_EQ(fingerprint(bytes), before);
  EXPECT_NE(fingerprint(std::span(bytes).first(999)), before);
}

}  // namespace
}  // namespace carat
