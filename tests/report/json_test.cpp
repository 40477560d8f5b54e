// The keys that scripts rely on, and values that JSON cannot spell.
#include "report/json.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "eval/made_up.h"

namespace carat {
namespace {

using Json = nlohmann::json;

TEST(Json, RowsCarryTheColumns) {
  const EvalReport report = made_up::report(true, 200);
  const Json j = Json::parse(to_json(report));
  for (const char* key : {"command", "machine", "suite", "margins", "reference", "rows", "comparisons",
                          "recovery", "pareto", "recommendation", "warnings", "seconds", "n_ctx", "kv_effects", "near_chance",
                          "alpha", "looks", "on_policy_texts"})
    EXPECT_TRUE(j.contains(key)) << key;
  ASSERT_EQ(j["rows"].size(), report.rows.size());
  const Json& row = j["rows"][3];
  for (const char* key : {"name",
                          "path",
                          "family",
                          "seed",
                          "parent",
                          "kv",
                          "precision",
                          "types",
                          "bytes",
                          "bits_per_weight",
                          "memory_bytes",
                          "fingerprint",
                          "resident_bytes",
                          "prefill_tok_s",
                          "decode_tok_s",
                          "nll",
                          "nll_low",
                          "nll_high",
                          "nll_gap",
                          "answer_nll",
                          "accuracy",
                          "accuracy_low",
                          "accuracy_high",
                          "kld_mean",
                          "kld_median",
                          "kld_p99",
                          "kld_p999",
                          "top1",
                          "rms_dp",
                          "wins",
                          "wins_of",
                          "wins_over",
                          "verdict",
                          "verdict_own_parent",
                          "categories"})
    EXPECT_TRUE(row.contains(key)) << key;
  EXPECT_EQ(row["name"], "lab-s-q4_0");
  EXPECT_DOUBLE_EQ(row["accuracy"], report.rows[3].accuracy.estimate);
  EXPECT_EQ(row["verdict"], "worse");
  EXPECT_EQ(j["rows"][0]["verdict"], "reference");
  EXPECT_TRUE(j["rows"][0]["parent"].is_null());
  EXPECT_FALSE(j["rows"][0].contains("kld_mean"));
}

TEST(Json, ComparisonsCarryTheirTest) {
  const EvalReport report = made_up::report(true, 200);
  const Json j = Json::parse(to_json(report));
  ASSERT_EQ(j["comparisons"].size(), report.comparisons.size());
  for (const Json& c : j["comparisons"]) {
    for (const char* key :
         {"table", "yardstick", "row", "reference", "verdict", "n_more_items", "accuracy_difference",
          "answer_nll_difference", "won", "lost", "mcnemar_p", "accuracy_p_adjusted", "sentence"})
      EXPECT_TRUE(c.contains(key)) << key;
    const std::string verdict = c["verdict"];
    EXPECT_TRUE(verdict == "better" || verdict == "worse" || verdict == "tie" ||
                verdict == "not enough data");
    if (verdict != "not enough data") {
      EXPECT_EQ(c["n_more_items"], 0);
    }
  }
  ASSERT_FALSE(j["recovery"].empty());
  EXPECT_TRUE(j["recovery"][0].contains("honest_low"));
  EXPECT_EQ(j["recovery"][0]["control_pairing"], "same seed");
  EXPECT_EQ(j["recovery"][0]["control"], 7);
  ASSERT_EQ(j["kv_effects"].size(), 2u);
  for (const char* key : {"row", "row_base", "reference", "reference_base", "verdict", "n_more_items",
                          "accuracy_difference", "nll_difference", "nll_difference_low", "sentence"})
    EXPECT_TRUE(j["kv_effects"][0].contains(key)) << key;
  EXPECT_EQ(j["recommendation"]["n_ctx"], j["n_ctx"]);
}

TEST(Json, SurvivesWhatItCannotSpell) {
  EvalReport report = made_up::report(false, 30);
  report.rows[0].name = "quote \" backslash \\ newline \n and not UTF-8 \xff";
  report.rows[0].nll.estimate = std::numeric_limits<double>::quiet_NaN();
  report.rows[0].nll.high = std::numeric_limits<double>::infinity();
  const Json j = Json::parse(to_json(report));
  EXPECT_TRUE(j["rows"][0]["nll"].is_null());
  EXPECT_TRUE(j["rows"][0]["nll_high"].is_null());
  EXPECT_EQ(std::string(j["rows"][0]["name"]).substr(0, 7), "quote \"");
}

TEST(Json, Perplexity) {
  PerplexityReport report;
  report.perplexity = {12.5, 0.25};
  EXPECT_DOUBLE_EQ(Json::parse(to_json(report))["perplexity"]["value"], 12.5);
  EXPECT_FALSE(Json::parse(to_json(report)).contains("kld_mean"));
  report.reference_perplexity = Spread{12, 0.2};
  report.divergence = DivergenceSummary{};
  report.divergence->kld = {0.03, 0.001};
  EXPECT_DOUBLE_EQ(Json::parse(to_json(report))["kld_mean"]["error"], 0.001);
}

}  // namespace
}  // namespace carat
