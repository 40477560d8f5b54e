// Trouble on the way: a full disk, a closed pipe, Ctrl-C. Nothing half-written stays, old files keep their content.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "cli/program.h"

namespace carat::cli {
namespace {

Outcome synth(const std::string& path, const std::string& type = "F16") {
  return carat({"synth", path, "--like", "e2b", "--layers", "5", "--width-divisor", "24", "--vocab", "600", "--type", type});
}

// The kernel refuses writes beyond a limit: to the program a disk that is full.
class FullDisk {
 public:
  explicit FullDisk(rlim_t n_bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{n_bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

TEST(Trouble, AFullDiskLeavesTheOldFile) {
  const Folder folder;
  ASSERT_EQ(synth(folder / "model.gguf").code, 0);
  overwrite(folder / "out.gguf", "what was there before");
  Outcome outcome;
  {
    const FullDisk disk(64 << 10);
    outcome = carat({"quantize", folder / "model.gguf", folder / "out.gguf", "Q8_0"});
  }
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("out.gguf: cannot write: "), std::string::npos) << outcome.err;
  EXPECT_EQ(content(folder / "out.gguf"), "what was there before");
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"model.gguf", "out.gguf"}));
}

TEST(Trouble, StandardOutputThatIsFullIsAnError) {
  const Folder folder, outputs;
  ASSERT_EQ(synth(folder / "model.gguf").code, 0);
  const Outcome outcome = Program(outputs, {"inspect", folder / "model.gguf", "--json"}, "/dev/full").wait();
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("standard output"), std::string::npos) << outcome.err;
}

// Waits until the program has said something on standard error, then interrupts it.
Outcome interrupt(Program& program) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(120);
  while (program.err_so_far().empty() && !program.has_ended() && std::chrono::steady_clock::now() < limit)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  program.signal(SIGINT);
  return program.wait();
}

TEST(Trouble, InterruptedTrainingGoesOnWhereItStopped) {
  const Folder folder, outputs;
  const auto command = [&](const std::string& name) {
    return std::vector<std::string>{"train", folder / name,  "--new", "lab-s",  "--tokens", "10240",
                                    "--batch", "512",        "--row", "64",     "--report-every", "1", "-t", "1"};
  };
  Program whole(outputs, command("whole.gguf"));
  ASSERT_EQ(whole.wait().code, 0);

  Program cut(outputs, command("cut.gguf"));
  const Outcome stopped = interrupt(cut);
  ASSERT_EQ(stopped.code, 130) << stopped.err;
  EXPECT_NE(stopped.err.find("interrupted after step"), std::string::npos) << stopped.err;
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"cut.gguf.checkpoint", "whole.gguf"}));

  Program rest(outputs, command("cut.gguf"));
  ASSERT_EQ(rest.wait().code, 0);
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"cut.gguf", "whole.gguf"}));
  // The files differ in the name that stands in them (general.name), equally long in neither: compare the weights.
  const std::string a = content(folder / "whole.gguf"), b = content(folder / "cut.gguf");
  const size_t n = size_t{500} << 10;
  ASSERT_GT(std::min(a.size(), b.size()), n);
  EXPECT_EQ(a.substr(a.size() - n), b.substr(b.size() - n));
}

TEST(Trouble, InterruptedJudgementWritesNothing) {
  const Folder folder, outputs;
  ASSERT_EQ(synth(folder / "a.gguf").code, 0);
  std::string lines;
  for (int i = 0; i < 400; ++i)
    lines += "{\"question\": \"" + std::to_string(i) + std::string(300, 'x') + "?\", \"answer\": \"7\"}\n";
  overwrite(folder / "suite.jsonl", lines);
  Program program(outputs, {"compare", folder / "a.gguf", "--suite", folder / "suite.jsonl", "--json",
                            folder / "out.json", "--report", folder / "out.html", "-t", "1"});
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  program.signal(SIGINT);
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.code, 130) << outcome.err;
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"a.gguf", "suite.jsonl"}));
}

}  // namespace
}  // namespace carat::cli
