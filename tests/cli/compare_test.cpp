// carat compare on the user's own files: whose parent is whose, and what is written about it.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/refused.h"
#include "gguf/reader.h"
#include "gguf/writer.h"

namespace carat::cli {
namespace {

using Json = nlohmann::json;

void make_pair(const Folder& folder, const std::string& master, const std::string& packed, const std::string& seed) {
  ASSERT_EQ(carat({"synth", folder / master, "--like", "e2b", "--layers", "5", "--width-divisor", "24", "--vocab", "600",
                   "--type", "BF16", "--seed", seed})
                .code,
            0);
  ASSERT_EQ(carat({"quantize", folder / master, folder / packed, "Q4_0"}).code, 0);
}

void make_suite(const std::string& path) {
  std::string lines;
  for (int i = 0; i < 6; ++i)
    lines += "{\"question\": \"1 + " + std::to_string(i) + "?\", \"answer\": \"" + std::to_string(1 + i) + "\"}\n";
  overwrite(path, lines);
}

Json judgement(const std::string& path) { return Json::parse(content(path)).at(0); }

Json row_of(const Json& judgement, const std::string& name) {
  for (const Json& row : judgement["rows"])
    if (row["name"] == name) return row;
  return {};
}

bool warns_of(const Json& judgement, const std::string& id) {
  for (const Json& warning : judgement["warnings"])
    if (warning["id"] == id) return true;
  return false;
}

struct Compare : testing::Test {
  Folder folder;
  void SetUp() override {
    make_pair(folder, "a-bf16.gguf", "a-q4_0.gguf", "1");
    make_pair(folder, "b-bf16.gguf", "b-qat.gguf", "2");
    make_suite(folder / "questions.jsonl");
  }
  std::string link(const std::string& file, const std::string& parent) {
    return (folder / file) + "=" + (folder / parent);
  }
};

// What one machine wrote, another reads; the same judgement twice is one with two machines.
TEST_F(Compare, JudgementsAreMerged) {
  ASSERT_EQ(carat({"compare", folder / "a-bf16.gguf", folder / "a-q4_0.gguf", "--parent",
                   link("a-q4_0.gguf", "a-bf16.gguf"), "--suite", folder / "questions.jsonl", "--no-speed", "--json",
                   folder / "one.json"})
                .code,
            0);
  const auto outcome = carat({"compare", "--merge", folder / "one.json", folder / "one.json", "--json",
                              folder / "both.json", "--report", folder / "both.html"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json all = Json::parse(content(folder / "both.json"));
  ASSERT_EQ(all.size(), 1u);
  ASSERT_EQ(all[0]["elsewhere"].size(), 1u);
  EXPECT_EQ(all[0]["elsewhere"][0]["accuracy_distance"], 0);
  EXPECT_EQ(all[0]["version"].get<std::string>().substr(0, 6), "carat ");
  EXPECT_EQ(all[0]["rows"], judgement(folder / "one.json")["rows"]);
  EXPECT_NE(content(folder / "both.html").find("On each machine"), std::string::npos);
}

TEST_F(Compare, WhatIsNoJudgementIsNotMerged) {
  overwrite(folder / "x.json", "{\"rows\": 7}");
  expect_refused(carat({"compare", "--merge"}), "--merge");
  expect_refused(carat({"compare", "--merge", folder / "x.json"}), "x.json: title");
  expect_refused(carat({"compare", "--merge", folder / "questions.jsonl"}), "not JSON");
  expect_refused(carat({"compare", "--merge", folder / "none.json"}), "none.json");
  expect_refused(carat({"compare", "--merge", "--suite", "lab", folder / "x.json"}), "--suite");
  expect_refused(carat({"compare", "--merge", folder / "x.json", "--json", folder / "x.json"}), "x.json");
  EXPECT_EQ(content(folder / "x.json"), "{\"rows\": 7}");
}

// The line that README shows.
TEST_F(Compare, TheExampleOfTheReadme) {
  const auto outcome = carat({"compare", folder / "a-q4_0.gguf", folder / "b-qat.gguf", "--parent",
                              link("a-q4_0.gguf", "a-bf16.gguf"), "--parent", link("b-qat.gguf", "b-bf16.gguf"), "--qat",
                              folder / "b-qat.gguf", "--suite", folder / "questions.jsonl", "--report",
                              folder / "report.html", "--json", folder / "report.json", "--no-speed"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json report = judgement(folder / "report.json");
  EXPECT_EQ(row_of(report, "a-bf16")["family"], row_of(report, "a-q4_0")["family"]);
  EXPECT_EQ(row_of(report, "b-bf16")["family"], row_of(report, "b-qat")["family"]);
  EXPECT_NE(row_of(report, "a-bf16")["family"], row_of(report, "b-bf16")["family"]);
  EXPECT_FALSE(warns_of(report, "wrong-reference"));
  int n_parent_pairs = 0;
  for (const Json& comparison : report["comparisons"]) n_parent_pairs += comparison["yardstick"] == "A";
  EXPECT_EQ(n_parent_pairs, 1);
  // The command as it was typed.
  const std::string command = report["command"];
  EXPECT_TRUE(command.starts_with(CARAT_PROGRAM " compare ")) << command;
  EXPECT_TRUE(command.ends_with("report.json --no-speed")) << command;
  EXPECT_FALSE(content(folder / "report.html").empty());
}

// The usual mistake keeps its warning: a QAT file measured against the original weights.
TEST_F(Compare, AStrangerAsParentIsWarnedOf) {
  const auto outcome = carat({"compare", folder / "a-q4_0.gguf", folder / "b-qat.gguf", "--parent",
                              link("a-q4_0.gguf", "a-bf16.gguf"), "--parent", link("b-qat.gguf", "a-bf16.gguf"), "--qat",
                              folder / "b-qat.gguf", "--suite", folder / "questions.jsonl", "--json", folder / "j",
                              "--no-speed"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(warns_of(judgement(folder / "j"), "wrong-reference"));
}

// What files are asked by default: the built-in suite, all but its documents here.
TEST_F(Compare, TheBuiltInSuiteNeedsNoFile) {
  const auto outcome = carat({"compare", folder / "a-q4_0.gguf", "--parent", link("a-q4_0.gguf", "a-bf16.gguf"), "--per-kind", "2",
                              "--longest", "0", "--suite-seed", "5", "--no-speed", "--json", folder / "j"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json report = judgement(folder / "j");
  EXPECT_EQ(report["suite"]["n_items"], 24);
  EXPECT_NE(std::string(report["suite"]["name"]).find("built-in suite 1, seed 5"), std::string::npos);
  EXPECT_EQ(std::string(report["suite"]["hash"]).size(), 16u);
  EXPECT_EQ(std::string(report["suite"]["template_hash"]).size(), 16u);
  EXPECT_EQ(report["rows"][0]["categories"].size(), 12u);
  EXPECT_TRUE(report["looks"].empty());
  EXPECT_NE(outcome.out.find(std::string(report["suite"]["template_hash"])), std::string::npos);
}

TEST_F(Compare, GoesOnUntilItIsDecided) {
  const std::vector<std::string> command = {"compare", folder / "a-q4_0.gguf", "--parent",
                                            link("a-q4_0.gguf", "a-bf16.gguf"), "--suite", folder / "questions.jsonl",
                                            "--until-decided", "--budget-minutes", "1", "--no-speed", "--json",
                                            folder / "j", "--resume", folder / "kept"};
  const auto outcome = carat(command);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json report = judgement(folder / "j");
  ASSERT_EQ(report["looks"].size(), 1u);  // all six items of the file at once
  EXPECT_EQ(report["looks"][0]["n_items"], 6);
  EXPECT_NEAR(report["alpha"].get<double>(), 0.05, 1e-12);
  EXPECT_NE(outcome.out.find("Judged after 6 items"), std::string::npos);
  // The same again goes on from what was kept.
  const auto again = carat(command);
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(judgement(folder / "j")["looks"], report["looks"]);
  EXPECT_EQ(judgement(folder / "j")["rows"], report["rows"]);
  auto other = command;
  other[8] = "2";
  const auto refused = carat(other);
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("'most seconds 60' there and 'most seconds 120' here"), std::string::npos) << refused.err;
}

TEST_F(Compare, CheckersThatNeedAText) {
  overwrite(folder / "checked.jsonl", "{\"question\": \"1 + 1?\", \"answer\": \"2\", \"checker\": \"number\"}\n");
  expect_refused(carat({"compare", folder / "a-q4_0.gguf", "--suite", folder / "checked.jsonl"}), "line 1: the checker \"number\"");
}

TEST_F(Compare, WordsOfTheCommandAreQuoted) {
  std::filesystem::rename(folder / "a-q4_0.gguf", folder / "it's a.gguf");
  const auto outcome = carat({"compare", folder / "it's a.gguf", "--suite", folder / "questions.jsonl", "--no-speed",
                              "--json", folder / "j"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const std::string command = judgement(folder / "j")["command"];
  EXPECT_NE(command.find("'\\''s a.gguf' --suite "), std::string::npos) << command;
}

TEST_F(Compare, SeedsComeFromTheFiles) {
  const gguf::File file = gguf::open(folder / "b-qat.gguf").take();
  gguf::Metadata metadata = file.metadata;
  metadata.set("carat.training.seed", uint64_t{102});
  std::vector<gguf::TensorToWrite> tensors;
  for (const Tensor& tensor : file.tensors) tensors.push_back(gguf::existing(tensor));
  ASSERT_TRUE(gguf::write(folder / "seeded.gguf", metadata, tensors));
  const auto outcome = carat({"compare", folder / "seeded.gguf", folder / "a-q4_0.gguf", "--qat", folder / "seeded.gguf",
                              "--suite", folder / "questions.jsonl", "--no-speed", "--json", folder / "j"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(row_of(judgement(folder / "j"), "seeded")["seed"], 102);
}

TEST_F(Compare, FilesThatAreNotAmongThoseJudged) {
  const std::string a = folder / "a-q4_0.gguf", suite = folder / "questions.jsonl";
  expect_refused(carat({"compare", a, "--suite", suite, "--qat", folder / "b-qat.gguf"}), "b-qat.gguf");
  expect_refused(carat({"compare", a, "--suite", suite, "--parent", a}), "FILE=PARENT");
  expect_refused(carat({"compare", a, "--suite", suite, "--parent", a + "=" + (folder / "./a-q4_0.gguf")}), "own parent");
  expect_refused(carat({"compare", a, "--suite", suite, "--parent", link("a-q4_0.gguf", "a-bf16.gguf"), "--parent",
                        link("a-q4_0.gguf", "b-bf16.gguf")}),
                 "two parents");
  expect_refused(carat({"compare", a, "--suite", suite, "--qat", a, "--control", a}), "both");
}

// The tables are there even if a file is not.
TEST_F(Compare, AFailingFileKeepsNothingElseFromComingOut) {
  const auto outcome = carat({"compare", folder / "a-q4_0.gguf", "--suite", folder / "questions.jsonl", "--no-speed",
                              "--json", "/dev/full", "--report", folder / "report.html"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.out.find("a-q4_0"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.err.find("/dev/full"), std::string::npos) << outcome.err;
  EXPECT_FALSE(content(folder / "report.html").empty());
}

struct Lab : testing::Test {
  Folder folder;
  const std::string models = CARAT_SOURCE_DIR "/models";
  void SetUp() override { ::setenv("CARAT_MODELS", models.c_str(), 1); }
  void TearDown() override { ::unsetenv("CARAT_MODELS"); }
};

TEST_F(Lab, ModelsAreChosenByName) {
  expect_refused(carat({"compare", "--lab", "lab-x"}), "lab-x");
  expect_refused(carat({"compare", "--lab", "lab-s,"}), "''");
  expect_refused(carat({"compare", "--lab", "my-lab-s-2"}), "my-lab-s-2");
  ::setenv("CARAT_MODELS", (folder / "").c_str(), 1);
  expect_refused(carat({"compare", "--report", folder / "x.html"}), folder / "");
  expect_refused(carat({"compare", "--lab", "lab-m"}), "lab-m.gguf");
  EXPECT_TRUE(folder.names().empty());
}

TEST_F(Lab, ItsSuiteJudgesFilesThatSpeakItsLanguage) {
  const std::string parent = models + "/lab-s.gguf", small = folder / "small.gguf";
  ASSERT_EQ(carat({"quantize", parent, small, "Q4_0"}).code, 0);
  const auto outcome = carat({"compare", small, "--parent", small + "=" + parent, "--suite", "lab", "--per-kind", "4",
                              "--no-speed", "--json", folder / "j"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json report = judgement(folder / "j");
  EXPECT_NE(std::string(report["suite"]["name"]).find("4 documents per kind"), std::string::npos);
  EXPECT_GT(row_of(report, "lab-s")["accuracy"].get<double>(), 0.5);  // it understands what it is asked

  // It is also what such files are asked by default, and more and more of it until all is said.
  const auto decided = carat({"compare", small, "--parent", small + "=" + parent, "--until-decided", "--max-items", "256", "--no-speed",
                              "--json", folder / "k"});
  ASSERT_EQ(decided.code, 0) << decided.err;
  const Json steps = judgement(folder / "k");
  EXPECT_NE(std::string(steps["suite"]["name"]).find("lab language"), std::string::npos);
  ASSERT_GE(steps["looks"].size(), 1u);
  const Json& last = steps["looks"].back();
  EXPECT_EQ(steps["looks"][0]["n_items"], 128);
  EXPECT_EQ(last["n_items"], steps["suite"]["n_items"]);
  EXPECT_TRUE(last["n_open"] == 0 || last["n_items"] == 256) << last;

  ASSERT_EQ(carat({"synth", folder / "other.gguf", "--like", "e2b", "--layers", "5", "--width-divisor", "24", "--vocab",
                   "512"})
                .code,
            0);
  expect_refused(carat({"compare", folder / "other.gguf", "--suite", "lab"}), "vocabulary");
}

// Left after its first look, as an interruption would leave it, a judgement goes on to the same end; and how much time the look
// took is what the file says.
TEST_F(Lab, AnInterruptedJudgementHasTheLooksOfAWholeOne) {
  const std::string parent = models + "/lab-s.gguf", close = folder / "close.gguf", kept = folder / "kept";
  ASSERT_EQ(carat({"quantize", parent, close, "Q8_0"}).code, 0);
  const std::vector<std::string> command = {
      "compare", close, "--parent", close + "=" + parent, "--until-decided", "--max-items", "384", "--budget-minutes", "60",
      "--no-speed", "--resume", kept, "--json", folder / "j"};
  ASSERT_EQ(carat(command).code, 0);
  Json whole = judgement(folder / "j");
  ASSERT_GE(whole["looks"].size(), 2u);  // so close that the first look does not tell
  const std::string times = content(kept), header = times.substr(0, times.find("look "));
  const size_t second = times.find("\nlook ", times.find("\nlook ") + 1);
  ASSERT_NE(second, std::string::npos) << times;
  const auto leave_after_first_look = [&](const std::string& looks) {
    overwrite(kept, header + looks);
    for (size_t look = 2; look <= whole["looks"].size(); ++look) std::filesystem::remove(kept + ".look-" + std::to_string(look));
    EXPECT_EQ(carat(command).code, 0);
    return judgement(folder / "j");
  };
  Json resumed = leave_after_first_look(times.substr(header.size(), second + 1 - header.size()));
  for (const char* key : {"looks", "rows", "comparisons", "suite", "alpha"}) EXPECT_EQ(resumed[key], whole[key]) << key;

  // Of 60 minutes 59 were gone: there is no second look, and the first one may use all of the error.
  const auto n_first = whole["looks"][0]["n_items"].get<int64_t>();
  Json late = leave_after_first_look("look " + std::to_string(n_first) + " 3540\n");
  EXPECT_EQ(late["looks"].size(), 1u);
  EXPECT_NEAR(late["alpha"].get<double>(), 0.05, 1e-12);
  EXPECT_LT(whole["looks"][0]["alpha"].get<double>(), 0.05);
}

}  // namespace
}  // namespace carat::cli
