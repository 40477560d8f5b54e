// What was written comes back, and what comes from elsewhere is read or refused, never believed.
#include "report/json_read.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "eval/made_up.h"
#include "eval/merge.h"
#include "report/eval_text.h"
#include "report/html.h"
#include "report/json.h"

namespace carat {
namespace {

using Json = nlohmann::json;

EvalReport full_report() {
  EvalReport report = made_up::report(true, 120);
  report.title = "lab-s";
  report.version = "carat 0.0";
  TensorErrors errors;
  errors.row = 3;
  errors.n_layers = 2;
  errors.roles = {"attn_q", "ffn_up"};
  errors.errors = {0.08, 0.07, std::numeric_limits<double>::quiet_NaN(), 0.1};
  errors.whole = {{"token_embd", 0.02}};
  report.tensor_errors = {errors};
  report.rows[3].prefill_tok_s = 100;
  report.rows[3].decode_tok_s = 20;
  report.elsewhere = {{"another CPU", "carat 0.1", 4, 3.5, {{3, 50, 10, 1234}}, 0.001, 0.0002, "Run it."}};
  return report;
}

TEST(JsonRead, WhatWasWrittenComesBack) {
  const EvalReport report = full_report();
  const std::string text = to_json(report);
  const auto read = read_reports(text);
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), 1u);
  EXPECT_EQ(to_json(read->front()), text);
  EXPECT_EQ(render_html(read->front()), render_html(report));
  EXPECT_EQ(render_text(read->front(), {}, 120), render_text(report, {}, 120));
}

TEST(JsonRead, AListComesBack) {
  const std::vector<EvalReport> reports{full_report(), made_up::report(false, 60)};
  const auto read = read_reports(to_json(reports));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(to_json(*read), to_json(reports));
}

// Every member, everywhere: removed, or of another kind. Either it is refused with its place, or the page can be
// drawn.
void damage(Json& root, Json& node, int& n_refused) {
  const auto attempt = [&](Json& value, const Json& replacement) {
    const Json value_kept = value;
    value = replacement;
    if (const auto read = read_reports(root.dump())) {
      for (const EvalReport& report : *read) {
        EXPECT_FALSE(render_html(report).empty());
        EXPECT_FALSE(render_text(report, {}, 100).empty());
      }
    } else {
      ++n_refused;
      EXPECT_EQ(read.error().message.find('\n'), std::string::npos);
    }
    value = value_kept;
  };
  const Json kept = node;
  if (node.is_object())
    for (const auto& [key, value] : kept.items()) {
      node.erase(key);
      if (!read_reports(root.dump())) ++n_refused;
      node = kept;
    }
  for (auto& value : node) {
    for (const Json& replacement : {Json(nullptr), Json(-7), Json(1e300), Json(1000000), Json("text"), Json::array(), Json::object()})
      attempt(value, replacement);
    if (value.is_structured()) damage(root, value, n_refused);
  }
}

TEST(JsonRead, SurvivesAnyDamage) {
  EvalReport report = full_report();
  report.comparisons.resize(3);
  for (Comparison& c : report.comparisons)
    if (c.divergence) c.divergence->kld_reached.resize(2);
  for (ReportRow& row : report.rows)
    if (row.divergence) row.divergence->kld_reached.resize(2);
  report.rows.resize(4);
  report.recoveries.clear();
  report.cache_effects.resize(1);
  report.pareto.resize(1);
  report.recommendation.reset();
  for (ReportRow& row : report.rows) row.parent = std::min(row.parent, 0);
  for (ReportRow& row : report.rows)
    if (row.divergence) row.divergence->wins_over = -1;
  report.cache_effects[0].qat = report.cache_effects[0].qat_base = 0;
  report.cache_effects[0].original = report.cache_effects[0].original_base = 1;
  for (Comparison& c : report.comparisons) c.row = 1, c.reference = 0;
  report.pareto[0].row = 2;
  Json json = Json::parse(to_json(report));
  ASSERT_TRUE(read_reports(json.dump())) << read_reports(json.dump()).error().message;
  int n_refused = 0;
  damage(json, json, n_refused);
  EXPECT_GT(n_refused, 500);
}

TEST(JsonRead, NamesThePlace) {
  Json json = Json::parse(to_json(full_report()));
  const auto message = [&] {
    const auto read = read_reports(Json::array({json}).dump());
    return read ? std::string("accepted") : read.error().message;
  };
  json["rows"][2]["bytes"] = "many";
  EXPECT_EQ(message(), "[0].rows[2].bytes: expected a whole number that fits");
  json = Json::parse(to_json(full_report()));
  json["comparisons"][1]["row"] = 99;
  EXPECT_EQ(message().substr(0, 28), "[0].comparisons: row: 99 is ");
  json = Json::parse(to_json(full_report()));
  json["suite"].erase("hash");
  EXPECT_EQ(message(), "[0].suite.hash: expected something, and it is missing");
  EXPECT_FALSE(read_reports("{\"rows\": ["));
  EXPECT_FALSE(read_reports("[]"));
  EXPECT_FALSE(read_reports(""));
  EXPECT_FALSE(read_reports("7"));
}

// The file that is published beside the documentation.
TEST(JsonSchema, IsTheCommittedOne) {
  std::ifstream file(CARAT_SOURCE_DIR "/docs/compare.schema.json");
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), report_schema()) << "write it anew: carat compare --schema > docs/compare.schema.json";
}

TEST(JsonSchema, RequiresWhatTheReaderDoes) {
  const Json schema = Json::parse(report_schema());
  const Json& row = schema["items"]["properties"]["rows"]["items"];
  EXPECT_EQ(row["properties"]["family"]["enum"], Json({"original", "QAT", "control"}));
  const auto required = row["required"].get<std::vector<std::string>>();
  EXPECT_NE(std::find(required.begin(), required.end(), "bytes"), required.end());
  EXPECT_EQ(std::find(required.begin(), required.end(), "kld_mean"), required.end());
  EXPECT_TRUE(row["properties"].contains("kld_mean"));
}

TEST(Merge, MachinesJoinWhereFilesAndSuiteAreTheSame) {
  EvalReport here = full_report(), there = full_report();
  here.elsewhere.clear();
  there.elsewhere.clear();
  there.machine = "a second CPU";
  there.rows.erase(there.rows.begin() + 1, there.rows.end() - 2);  // it judged fewer files
  there.rows[1].decode_tok_s = 77;
  there.rows[1].accuracy.estimate += 0.003;
  EvalReport other_suite = full_report();
  other_suite.suite_hash = "another";
  const int row_there = static_cast<int>(here.rows.size()) - 2;

  const auto merged = merge({there, other_suite, here});
  ASSERT_EQ(merged.size(), 2u);
  const EvalReport& host = merged[0].suite_hash == "another" ? merged[1] : merged[0];
  ASSERT_EQ(host.elsewhere.size(), 1u);
  EXPECT_EQ(host.machine, here.machine);
  EXPECT_EQ(host.elsewhere[0].machine, "a second CPU");
  ASSERT_EQ(host.elsewhere[0].rows.size(), there.rows.size());
  EXPECT_EQ(host.elsewhere[0].rows[1].row, row_there);
  EXPECT_EQ(host.elsewhere[0].rows[1].decode_tok_s, 77);
  EXPECT_NEAR(host.elsewhere[0].accuracy_distance, 0.003, 1e-12);
  EXPECT_NE(render_html(host).find("a second CPU"), std::string::npos);
  EXPECT_NE(render_text(host, {}, 100).find("On each machine"), std::string::npos);
}

TEST(Merge, WhatHasNoFingerprintJoinsNothing) {
  EvalReport report = made_up::report(false, 60);
  for (ReportRow& row : report.rows) row.fingerprint.clear();
  EXPECT_EQ(merge({report, report}).size(), 2u);
}

}  // namespace
}  // namespace carat
