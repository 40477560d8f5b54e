// Options that would do nothing, outputs that would destroy something, values out of range: refused before any work.
#include <gtest/gtest.h>

#include "cli/refused.h"

namespace carat::cli {
namespace {

using Arguments = std::vector<std::string>;

Outcome synth(const std::string& path, const std::string& type = "BF16", const std::string& seed = "1") {
  return carat({"synth", path, "--like", "e2b", "--layers", "5", "--width-divisor", "24", "--vocab", "600", "--type",
                type, "--seed", seed});
}

struct Options : testing::Test {
  Folder folder;
  std::string model = folder / "model.gguf", suite = folder / "suite.jsonl", out = folder / "out.gguf";

  void SetUp() override {
    ASSERT_EQ(synth(model).code, 0);
    overwrite(suite, "{\"question\": \"1 + 1?\", \"answer\": \"2\"}\n{\"question\": \"1 + 2?\", \"answer\": \"3\"}\n");
  }
  void expect_all_refused(const std::vector<std::pair<Arguments, std::string>>& cases) {
    const auto before = folder.names();
    for (const auto& [arguments, about] : cases) {
      SCOPED_TRACE(testing::PrintToString(arguments));
      expect_refused(carat(arguments), about);
    }
    EXPECT_EQ(folder.names(), before);
  }
};

TEST_F(Options, WithoutEffectAreRefused) {
  expect_all_refused({
      {{"compare", "--suite", suite}, "--suite"},
      {{"compare", "--parent", "a=b"}, "--parent"},
      {{"compare", "--qat", model}, "--qat"},
      {{"compare", "--control", model}, "--control"},
      {{"compare", "--lab", ""}, "--lab"},
      {{"compare", model, "--suite", suite, "--budget", ""}, "--budget"},
      {{"compare", model, "--suite", suite, "--lab", "lab-s"}, "--lab"},
      {{"compare", model, "--suite", suite, "--per-kind", "3"}, "--per-kind"},
      {{"compare", model, "--suite", suite, "--longest", "4096"}, "--longest"},
      {{"compare", model, "--suite", suite, "--suite-seed", "2"}, "--suite-seed"},
      {{"compare", model, "--suite", suite, "--max-items", "300"}, "--max-items"},
      {{"compare", model, "--suite", suite, "--budget-minutes", "3"}, "--budget-minutes"},
      {{"compare", model, "--until-decided", "--per-kind", "3"}, "--per-kind"},
      {{"compare", model, "--suite", "lab", "--longest", "4096"}, "--longest"},
      {{"compare", "--longest", "4096"}, "--longest"},
      {{"compare", model, "--suite", ""}, "--suite"},
      {{"logits", model, "--batch", suite, "--out", folder / "x.npy"}, "--out"},
      {{"logits", model, "--tokens", "2", "--special"}, "--special"},
      {{"run", model, "--raw"}, "--raw"},
      {{"run", model, "--json"}, "--json"},
      {{"run", model, "-p", "x", "--raw", "--system", "y"}, "--system"},
      {{"train", out, "--from", model, "--tokens", "100", "--parent", model}, "--parent"},
      {{"train", out, "--from", model, "--tokens", "100", "--tensor-type", "a=Q4_0"}, "--tensor-type"},
      {{"train", out, "--from", model, "--tokens", "100", "--text", suite, "--curriculum", "0.5"}, "--curriculum"},
      {{"train", folder / "lab-s.gguf", "--recipe", "--seed", "7"}, "--seed"},
      {{"train", folder / "lab-s.gguf", "--recipe", "--lr", "0.1"}, "--lr"},
      {{"train", folder / "lab-s.gguf", "--recipe", "--tokens", "100"}, "--tokens"},
      {{"train", folder / "lab-s.gguf", "--recipe", "--type", "F16"}, "--type"},
      {{"train", folder / "lab-s.gguf", "--recipe", "--batch", "100"}, "--batch"},
  });
}

TEST_F(Options, AssistantsThatCannotBeAreRefused) {
  expect_refused(carat({"synth", "--like", "e2b-assistant", "--layers", "1", "--width-divisor", "32", "--vocab", "512",
                        folder / "a.gguf"}),
                 "at least 2");
  expect_refused(carat({"synth", "--like", "12b-assistant", "--ordered-head", "--layers", "6", "--width-divisor", "15",
                        "--vocab", "512", folder / "a.gguf"}),
                 "--ordered-head");
}

TEST_F(Options, OneValueEachTime) {
  // `--qat FILE FILE…` used to swallow the files behind it; then nothing was left but the lab family.
  const auto outcome = carat({"compare", "--qat", model, model, "--suite", suite, "--no-speed", "--json", folder / "j"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(content(folder / "j").find("\"family\": \"QAT\""), std::string::npos) << content(folder / "j").substr(0, 2000);
  EXPECT_EQ(carat({"quantize", "--tensor-type", "attn=Q8_0", model, out, "Q4_0"}).code, 0);
}

TEST_F(Options, OutOfRangeAreRefused) {
  std::vector<std::pair<Arguments, std::string>> cases;
  const std::vector<std::pair<std::string, std::string>> values = {
      {"--curriculum", "nan"}, {"--curriculum", "1.5"},   {"--curriculum", "-0.1"}, {"--warmup", "-1"},
      {"--decay", "-1"},       {"--decay", "inf"},        {"--decay", "nan"},       {"--lr", "0"},
      {"--lr", "-1"},          {"--lr", "nan"},           {"--lr", "inf"},          {"--flat", "nan"},
      {"--distill", "nan"},    {"--report-every", "0"},   {"--tokens", "-5"},       {"--tokens", "9000000000000000000"},
  };
  for (const auto& [option, value] : values)
    cases.push_back({{"train", out, "--from", model, option + "=" + value}, option});
  cases.push_back({{"compare", "--budget", "ram=99999999999G"}, "99999999999G"});
  cases.push_back({{"compare", "--budget", "ram=0"}, "'0'"});
  expect_all_refused(cases);
}

TEST_F(Options, OutputsThatAreInputsAreRefused) {
  const std::string link = folder / "link.gguf", other_name = folder / "./model.gguf", json = folder / "x.json";
  std::filesystem::create_symlink(model, link);
  const std::string before = content(model);
  expect_all_refused({
      {{"quantize", model, model, "Q4_0"}, "model.gguf"},
      {{"quantize", model, other_name, "Q4_0"}, "model.gguf"},
      {{"quantize", model, link, "Q4_0"}, "link.gguf"},
      {{"quantize", link, model, "Q4_0"}, "model.gguf"},
      {{"compare", model, "--suite", suite, "--json", model}, "model.gguf"},
      {{"compare", model, "--suite", suite, "--report", suite}, "suite.jsonl"},
      {{"compare", model, "--suite", suite, "--json", json, "--report", folder / "./x.json"}, "two outputs"},
      {{"logits", model, "--tokens", "2", "--out", model}, "model.gguf"},
      {{"train", model, "--from", model, "--tokens", "100"}, "model.gguf"},
      {{"train", out, "--from", model, "--tokens", "100", "--curve", model}, "model.gguf"},
      {{"train", out, "--from", model, "--tokens", "100", "--curve", out}, "two outputs"},
      {{"train", out, "--from", model, "--tokens", "100", "--text", suite, "--curve", suite}, "suite.jsonl"},
      {{"train", out, "--from", model, "--tokens", "100", "--curve", out + ".checkpoint"}, "two outputs"},
  });
  EXPECT_EQ(content(model), before);
  // A device is no file: it may take both.
  EXPECT_EQ(carat({"compare", model, "--suite", suite, "--no-speed", "--json", "/dev/null", "--report", "/dev/null"}).code, 0);
}

TEST_F(Options, OutputsThatCannotBeAreRefusedBeforeTheWork) {
  // The model is not even opened: it does not exist.
  const std::string none = folder / "none.gguf", nowhere = folder / "no/such/x";
  expect_all_refused({
      {{"compare", none, "--suite", suite, "--report", nowhere}, nowhere},
      {{"compare", none, "--suite", suite, "--json", folder / ""}, "directory"},
      {{"compare", "--lab", "lab-s", "--report", nowhere}, nowhere},
      {{"logits", none, "--tokens", "2", "--out", nowhere}, nowhere},
      {{"quantize", none, nowhere, "Q4_0"}, nowhere},
      {{"synth", nowhere}, nowhere},
      {{"train", nowhere, "--from", none, "--tokens", "100"}, nowhere},
      {{"train", out, "--from", none, "--tokens", "100", "--curve", nowhere}, nowhere},
      {{"train", out, "--from", none, "--tokens", "100", "--type", "BOGUS"}, "BOGUS"},
      {{"train", out, "--from", none, "--tokens", "100", "--qat", "BOGUS"}, "BOGUS"},
  });
}

TEST_F(Options, QuantizeSaysWhatFellBack) {
  // Every row of lab-s is a multiple of 32 or 64, none of 256.
  const auto none = carat({"quantize", CARAT_SOURCE_DIR "/models/lab-s.gguf", out, "Q6_K"});
  EXPECT_EQ(none.code, 1) << none.err;
  EXPECT_NE(none.out.find("instead of Q6_K"), std::string::npos) << none.out;
  EXPECT_NE(none.out.find("notice: not one tensor could be written as Q6_K"), std::string::npos) << none.out;
  const auto some = carat({"quantize", model, out, "Q6_K"});
  EXPECT_EQ(some.code, 0) << some.err;
  EXPECT_NE(some.out.find("instead of Q6_K"), std::string::npos) << some.out;
  EXPECT_EQ(some.out.find("notice"), std::string::npos) << some.out;
  const auto all = carat({"quantize", model, out, "Q8_0"});
  EXPECT_EQ(all.code, 0);
  EXPECT_EQ(all.out.find("instead"), std::string::npos) << all.out;
}

TEST_F(Options, TrainingNeverShowsMoreThanAll) {
  // The second step goes beyond the tokens that were asked for.
  std::string text;
  for (int i = 0; i < 500; ++i) text += std::to_string(i) + " and ";
  overwrite(folder / "text", text);
  const auto outcome = carat({"train", out, "--from", model, "--tokens", "65", "--batch", "64", "--row", "64",
                              "--report-every", "1", "--text", folder / "text", "-t", "1"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("100.0 %  step      2"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find(" 0 s left"), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find("-0 s"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace carat::cli
