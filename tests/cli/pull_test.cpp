// carat pull against a hub on this machine, and hf: names in other commands.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/refused.h"
#include "hub/fake_hub.h"

namespace carat::cli {
namespace {

using hub::FakeHub;
using Files = std::vector<FakeHub::File>;

std::string lab_model() { return content(std::string(CARAT_SOURCE_DIR) + "/models/lab-s.gguf"); }

// The environment that every program of a test gets.
class PullCommand : public testing::Test {
 protected:
  void use(const FakeHub& fake) {
    ::setenv("HF_ENDPOINT", fake.url().c_str(), 1);
    ::setenv("HF_HUB_CACHE", (folder_ / "cache").c_str(), 1);
    ::setenv("HOME", (folder_ / "home").c_str(), 1);  // no login of the user's
    for (const char* name : {"HF_TOKEN", "HF_TOKEN_PATH", "HF_HOME", "HF_HUB_OFFLINE"}) ::unsetenv(name);
  }
  void TearDown() override {
    for (const char* name : {"HF_ENDPOINT", "HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE"}) ::unsetenv(name);
  }
  std::string cached(const std::string& file) const {
    return folder_ / ("cache/models--lab--tiny/snapshots/" + std::string(hub::kCommit) + "/" + file);
  }
  Folder folder_;
};

TEST_F(PullCommand, ThenEveryCommandFindsIt) {
  FakeHub fake(Files{{"tiny-BF16.gguf", lab_model()}, {"tiny-Q4_0.gguf", "x"}, {"mmproj-BF16.gguf", "y"}});
  use(fake);
  expect_refused(carat({"inspect", "hf:lab/tiny:BF16"}), "carat pull lab/tiny:BF16");
  const Outcome outcome = carat({"pull", "lab/tiny:bf16"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, cached("tiny-BF16.gguf") + "\n");
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(content(cached("tiny-BF16.gguf")), lab_model());
  // Offline from here on.
  ::setenv("HF_ENDPOINT", "http://127.0.0.1:1", 1);
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"inspect", "hf:lab/tiny:BF16"},
        {"audit", "hf:lab/tiny:tiny-BF16.gguf"},
        {"tokenize", "hf:lab/tiny", "x"},
        {"logits", "hf:lab/tiny:BF16", "--tokens", "2"},
        {"run", "hf:lab/tiny:BF16", "-p", "a", "-n", "1"},
        {"bench", "hf:lab/tiny:BF16", "-p", "4", "-n", "1"},
        {"quantize", "hf:lab/tiny:BF16", folder_ / "q.gguf", "Q8_0"}})
    EXPECT_EQ(carat(command).code, 0) << command.front() << ": " << carat(command).err;
  // A name in place of a path hides no input from the outputs.
  expect_refused(carat({"logits", "hf:lab/tiny:BF16", "--tokens", "2", "--out", cached("tiny-BF16.gguf")}),
                 "would be overwritten");
  expect_refused(carat({"quantize", "hf:lab/tiny:BF16", cached("tiny-BF16.gguf"), "Q8_0"}), "would be overwritten");
  expect_refused(carat({"train", "--from", "hf:lab/tiny:BF16", cached("tiny-BF16.gguf"), "--tokens", "64"}),
                 "would be overwritten");
  EXPECT_EQ(content(cached("tiny-BF16.gguf")), lab_model());
  ::setenv("HF_HUB_OFFLINE", "1", 1);
  EXPECT_EQ(carat({"pull", "lab/tiny:BF16"}).out, cached("tiny-BF16.gguf") + "\n");
  expect_refused(carat({"pull", "lab/tiny:Q4_0"}), "not downloaded");
}

TEST_F(PullCommand, Choices) {
  FakeHub fake(Files{{"a-Q4_0.gguf", "one"}, {"b-Q4_0.gguf", "three"}, {"README.md", "r", true}});
  use(fake);
  for (const char* name : {"lab/tiny", "lab/tiny:Q4_0"}) {
    const Outcome outcome = carat({"pull", name});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_NE(outcome.out.find("a-Q4_0.gguf"), std::string::npos) << outcome.out;
    EXPECT_NE(outcome.out.find("b-Q4_0.gguf"), std::string::npos) << outcome.out;
    EXPECT_EQ(outcome.out.find("README"), std::string::npos) << outcome.out;
    EXPECT_NE(outcome.err.find("choose one"), std::string::npos) << outcome.err;
  }
  const Outcome none = carat({"pull", "lab/tiny:Q8_0"});
  EXPECT_EQ(none.code, 2);
  EXPECT_NE(none.err.find("nothing matches 'Q8_0'"), std::string::npos) << none.err;
  const Outcome list = carat({"pull", "--list", "--json", "lab/tiny"});
  EXPECT_EQ(list.code, 0);
  EXPECT_EQ(nlohmann::json::parse(list.out).size(), 2u);
  const Outcome json = carat({"pull", "--json", "lab/tiny:b-Q4_0.gguf"});
  ASSERT_EQ(json.code, 0) << json.err;
  EXPECT_EQ(nlohmann::json::parse(json.out)[0]["path"], cached("b-Q4_0.gguf"));
  EXPECT_EQ(nlohmann::json::parse(json.out)[0]["bytes"], 5);
}

TEST_F(PullCommand, AllPartsOfASplitModel) {
  FakeHub fake(Files{{"m-00002-of-00002.gguf", "two"}, {"m-00001-of-00002.gguf", "one"}});
  use(fake);
  const Outcome outcome = carat({"pull", "lab/tiny"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, cached("m-00001-of-00002.gguf") + "\n" + cached("m-00002-of-00002.gguf") + "\n");
}

// A split model whose upload was cut off keeps nobody from the others.
TEST_F(PullCommand, IncompleteModels) {
  FakeHub fake(Files{{"m-BF16-00001-of-00003.gguf", "one"},
                     {"m-BF16-00003-of-00003.gguf", "three"},
                     {"m-Q4_0.gguf", "q"},
                     {"m-Q8_0.gguf", "qq"}});
  use(fake);
  const std::string first = "m-BF16-00001-of-00003.gguf";
  const Outcome list = carat({"pull", "--list", "lab/tiny"});
  EXPECT_EQ(list.code, 0) << list.err;
  EXPECT_NE(list.out.find("m-Q4_0.gguf"), std::string::npos) << list.out;
  EXPECT_NE(list.out.find(first + " (incomplete: part 2 of 3 is missing)"), std::string::npos) << list.out;
  const auto json = nlohmann::json::parse(carat({"pull", "--list", "--json", "lab/tiny"}).out);
  ASSERT_EQ(json.size(), 3u);
  EXPECT_FALSE(json[0].contains("incomplete"));
  EXPECT_EQ(json[2]["incomplete"], "part 2 of 3 is missing");
  EXPECT_EQ(json[2]["bytes"], 8);
  const Outcome outcome = carat({"pull", "lab/tiny:Q4_0"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, cached("m-Q4_0.gguf") + "\n");
  for (const std::string& what : {std::string("BF16"), first})
    expect_refused(carat({"pull", "lab/tiny:" + what}), "part 2 of 3 is missing");
  // The same of what a pull that was cut off left in the cache.
  std::filesystem::copy_file(cached("m-Q4_0.gguf"), cached(first));
  expect_refused(carat({"inspect", "hf:lab/tiny:BF16"}), "2 of 3 parts are missing");
}

TEST_F(PullCommand, Refusals) {
  FakeHub fake(Files{{"m.gguf", "x"}});
  fake.needs_token = true;
  use(fake);
  expect_refused(carat({"pull", "lab/tiny"}), "HF_TOKEN");
  ::setenv("HF_TOKEN", "hf_secret", 1);
  EXPECT_EQ(carat({"pull", "lab/tiny"}).code, 0);
  expect_refused(carat({"pull", "lab/other"}), "not found");
  expect_refused(carat({"pull", "nonsense"}), "OWNER/REPO");
  ::setenv("HF_TOKEN", "two words", 1);
  expect_refused(carat({"pull", "lab/tiny"}), "HF_TOKEN");
  ::setenv("HF_ENDPOINT", "ftp://x", 1);
  expect_refused(carat({"pull", "lab/tiny"}), "HF_ENDPOINT");
}

TEST_F(PullCommand, WrongContentLeavesNothing) {
  FakeHub fake(Files{{"m.gguf", "right"}});
  fake.sends_content = "wrong";
  use(fake);
  expect_refused(carat({"pull", "lab/tiny"}), "not what was published");
  EXPECT_FALSE(std::filesystem::exists(cached("m.gguf")));
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "cache/models--lab--tiny/blobs"));
}

// Ctrl-C: one line, the shell's exit code, and the same command goes on.
TEST_F(PullCommand, CtrlC) {
  const std::string model = hub::made_up_content(40 << 20, 3);
  FakeHub fake(Files{{"m.gguf", model}});
  std::atomic<int> n_contents{0};
  fake.intercept = [&](const hub::Incoming& incoming, hub::Answer& answer) {
    if (incoming.method != "GET" || incoming.path.find("/resolve/") == std::string::npos || ++n_contents < 2)
      return false;
    if (n_contents > 3) return false;
    answer.send("HTTP/1.1 206 x\r\n");  // and nothing more
    while (n_contents < 100 && !fake.server().stopping())
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return true;
  };
  use(fake);
  const std::string part =
      folder_ / "cache/models--lab--tiny/blobs/" + FakeHub::hash({"m.gguf", model}) + ".carat-part";
  const Folder outputs;
  Program program(outputs, {"pull", "-j", "3", "lab/tiny"});
  for (int i = 0; i < 2000 && n_contents < 3; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  program.signal(SIGINT);
  const Outcome outcome = program.wait();
  n_contents = 100;
  EXPECT_EQ(outcome.code, 130) << outcome.err;
  EXPECT_NE(outcome.err.find("goes on from here"), std::string::npos) << outcome.err;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_TRUE(std::filesystem::exists(part));
  const size_t n_before = fake.content_requests().size();
  EXPECT_EQ(carat({"pull", "lab/tiny"}).code, 0);
  EXPECT_LT(fake.content_requests().size() - n_before, 3u) << "what had come is not asked for again";
  EXPECT_EQ(content(cached("m.gguf")), model);
  EXPECT_FALSE(std::filesystem::exists(part));
}

TEST_F(PullCommand, FullDisk) {
  FakeHub fake(Files{{"m.gguf", hub::made_up_content(100000, 4)}});
  use(fake);
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const rlimit small{20000, old.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  const Outcome outcome = carat({"pull", "lab/tiny"});
  ::setrlimit(RLIMIT_FSIZE, &old);
  expect_refused(outcome, "File too large");
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "cache/models--lab--tiny/blobs"));
  EXPECT_EQ(carat({"pull", "lab/tiny"}).code, 0);
}

}  // namespace
}  // namespace carat::cli
