// The bench's output: keys that scripts rely on, a line per test, and options that go together. Never its
// times.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "cli/refused.h"

namespace carat::cli {
namespace {

using Json = nlohmann::json;

struct Bench : testing::Test {
  static inline Folder* folder;
  static inline std::string model;
  static void SetUpTestSuite() {
    folder = new Folder;
    model = *folder / "model.gguf";
    ASSERT_EQ(
        carat({"synth", model, "--like", "e2b", "--layers", "5", "--width-divisor", "24", "--vocab", "600"})
            .code,
        0);
  }
  static void TearDownTestSuite() { delete folder; }

  static Json json_of(std::vector<std::string> arguments) {
    const auto outcome = carat(std::move(arguments));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return Json::parse(outcome.out);
  }
};

std::vector<std::string> tests_of(const Json& json) {
  std::vector<std::string> tests;
  for (const Json& entry : json) tests.push_back(entry["test"]);
  return tests;
}

TEST_F(Bench, EveryTestHasTheKeysOfItsSpeedAndItsRoof) {
  const Json json = json_of({"bench", model, "-p", "8", "-n", "4", "-r", "1", "--all-logits", "--verify", "3",
                             "-d", "5", "--json"});
  EXPECT_EQ(tests_of(json), (std::vector<std::string>{"pp8", "pp8 all", "tg4", "verify3"}));
  const std::set<std::string> roofs = {"memory", "int8", "bf16", "f32"};
  for (const Json& entry : json) {
    for (const char* key : {"tok_s", "gb_s", "gmac_s", "roof_share"}) {
      ASSERT_TRUE(entry[key].is_number()) << key << " of " << entry;
      EXPECT_GT(entry[key].get<double>(), 0) << key << " of " << entry;
    }
    EXPECT_TRUE(roofs.contains(entry["roof"])) << entry;
    EXPECT_EQ(entry.contains("batch_ms"), entry["test"] == "verify3");
  }
  for (const char* key : {"batch_ms", "row_ms", "batch_per_row"}) EXPECT_GT(json[3][key].get<double>(), 0);
}

TEST_F(Bench, WhatIsNotAskedForIsNotMeasured) {
  EXPECT_EQ(tests_of(json_of({"bench", model, "-p", "0", "-n", "2", "-r", "1", "--all-logits", "--json"})),
            std::vector<std::string>{"tg2"});
  EXPECT_EQ(tests_of(json_of({"bench", model, "-p", "0", "-n", "0", "--verify", "2", "-r", "1", "--json"})),
            std::vector<std::string>{"verify2"});
}

TEST_F(Bench, TheTableNamesTestsAndRoofs) {
  const auto outcome =
      carat({"bench", model, "-p", "70", "-n", "2", "-r", "1", "--all-logits", "--verify", "2"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  for (const char* word : {"roof: memory reads", "tokens/s", "of roof", "pp70", "pp70 all", "tg2", "verify2",
                           "a batch of 2 takes"})
    EXPECT_NE(outcome.out.find(word), std::string::npos) << word << " is missing in\n" << outcome.out;
}

TEST_F(Bench, WhatRepackingTakesIsSaid) {
  const std::vector<std::string> few = {"bench", model, "-p", "4", "-n", "1", "-r", "1", "--repack"};
  const auto outcome = carat(few);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("repacked weights: "), std::string::npos) << outcome.out;
  EXPECT_EQ(outcome.out.find("none"), std::string::npos) << outcome.out;
  auto exact = few;
  exact.push_back("--exact");
  EXPECT_NE(carat(exact).out.find("repacked weights: none"), std::string::npos);
  expect_refused(carat({"bench", "--roof", "--repack"}), "--repack");
}

TEST_F(Bench, RunsTokensAreTheSameRepacked) {
  const std::vector<std::string> plain = {"run", model, "-p", "Q", "-n", "12", "--temp", "0", "--ignore-eos", "--json"};
  auto repacked = plain;
  repacked.push_back("--repack");
  const Json a = json_of(plain), b = json_of(repacked);
  EXPECT_EQ(a["tokens"].size(), 12u);
  EXPECT_EQ(a["tokens"], b["tokens"]);
}

TEST_F(Bench, RoofsAreAMatterOfTheMachine) {
  const Json json = json_of({"bench", "--roof", "-t", "2", "--json"});
  ASSERT_EQ(json.size(), 2u);
  for (size_t i = 0; i < 2; ++i)
    for (const char* key : {"threads", "read_gb_s", "int8_gmac_s", "bf16_gmac_s", "f32_gmac_s"})
      EXPECT_GT(json[i][key].get<double>(), 0) << key;
  EXPECT_EQ(json[0]["threads"], 1);
  const auto table = carat({"bench", "--roof", "-t", "1"});
  EXPECT_EQ(table.code, 0);
  EXPECT_NE(table.out.find("int8 Gmac/s"), std::string::npos) << table.out;
}

TEST_F(Bench, OptionsThatDoNotGoTogether) {
  expect_refused(carat({"bench"}), "file is required");
  expect_refused(carat({"bench", model, "--roof"}), "file");
  expect_refused(carat({"bench", "--roof", "-p", "8"}), "-p");
  expect_refused(carat({"bench", model, "--verify", "1"}), "--verify");
  expect_refused(carat({"bench", model, "--verify", "513"}), "--verify");
}

}  // namespace
}  // namespace carat::cli
