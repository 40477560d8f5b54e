// Trouble on the way: a full disk, a closed pipe, Ctrl-C. Nothing half-written stays, old files keep their content.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

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
  const Outcome outcome = Program(outputs, {"inspect", folder / "model.gguf", "--json"}, {.out = "/dev/full"}).wait();
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

// Runs a shell's command line in which $CARAT is the program. -> its output.
std::string shell(const std::string& line) {
  ::setenv("CARAT", CARAT_PROGRAM, 1);
  std::string text;
  FILE* pipe = ::popen(("exec 2>&1; " + line).c_str(), "r");
  for (int c; (c = std::fgetc(pipe)) != EOF;) text += static_cast<char>(c);
  ::pclose(pipe);
  return text;
}

TEST(Trouble, AReaderThatHasGoneIsNoError) {
  const Folder folder;
  ASSERT_EQ(synth(folder / "model.gguf").code, 0);
  ::setenv("MODEL", (folder / "model.gguf").c_str(), 1);
  // `true` has gone before anything is printed.
  EXPECT_EQ(shell("{ sleep 0.1; $CARAT inspect --json $MODEL; echo code $? >&2; } | true"), "code 0\n");
  EXPECT_EQ(shell("{ sleep 0.1; $CARAT --help; echo code $? >&2; } | true"), "code 0\n");
  // Without end it would print for minutes.
  EXPECT_EQ(shell("{ $CARAT lab text -n 10000000; echo code $? >&2; } | head -c 0"), "code 0\n");
}

// Waits until `condition` holds, for a minute at most.
template <class Condition>
bool comes_true(Condition&& condition) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition() && std::chrono::steady_clock::now() < limit)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return condition();
}

TEST(Trouble, AChatThatWaitsStopsAtOnce) {
  const Folder folder, outputs;
  ASSERT_EQ(synth(folder / "model.gguf").code, 0);
  ASSERT_EQ(::mkfifo((folder / "input").c_str(), 0600), 0);
  Program program(outputs, {"run", folder / "model.gguf", "-n", "1"}, {.in = folder / "input"});
  const int input = ::open((folder / "input").c_str(), O_RDWR);
  ASSERT_EQ(::write(input, "a question\n", 11), 11);
  ASSERT_TRUE(comes_true([&] { return !content(outputs / "stdout").empty(); }));  // answered, now it waits
  program.signal(SIGINT);
  const auto sent = std::chrono::steady_clock::now();
  EXPECT_TRUE(comes_true([&] { return program.has_ended(); }));
  EXPECT_LT(std::chrono::steady_clock::now() - sent, std::chrono::seconds(5));
  if (!program.has_ended()) program.signal(SIGKILL);
  EXPECT_EQ(program.wait().code, 130);
  ::close(input);
}

TEST(Trouble, LongPrintingAndMeasuringStop) {
  const Folder folder, outputs;
  ASSERT_EQ(synth(folder / "model.gguf").code, 0);
  const std::vector<std::vector<std::string>> commands = {
      {"bench", folder / "model.gguf", "-p", "512", "-n", "512", "-r", "1000", "-t", "1"}, {"lab", "text", "-n", "10000000"}};
  for (const auto& command : commands) {
    SCOPED_TRACE(command.front());
    Program program(outputs, command, {.out = "/dev/null"});
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    ASSERT_FALSE(program.has_ended());
    program.signal(SIGINT);
    EXPECT_TRUE(comes_true([&] { return program.has_ended(); }));
    if (!program.has_ended()) program.signal(SIGKILL);
    EXPECT_EQ(program.wait().code, 130);
  }
}

TEST(Trouble, AKilledJudgementLeavesNoTemporaryFiles) {
  const Folder folder, outputs, temporary;
  const std::string before = ::getenv("TMPDIR") != nullptr ? ::getenv("TMPDIR") : "/tmp";
  ::setenv("TMPDIR", (temporary / "").c_str(), 1);
  ::setenv("CARAT_MODELS", CARAT_SOURCE_DIR "/models", 1);
  Program program(outputs, {"compare", "--lab", "lab-s", "--json", folder / "out.json", "-t", "1"});
  ::setenv("TMPDIR", before.c_str(), 1);
  // Nothing at any moment, so it does not matter when it dies.
  for (int i = 0; i < 100 && !program.has_ended(); ++i) {
    EXPECT_TRUE(temporary.names().empty());
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ASSERT_FALSE(program.has_ended()) << program.err_so_far();
  program.signal(SIGKILL);
  EXPECT_EQ(program.wait().code, 128 + SIGKILL);
  EXPECT_TRUE(temporary.names().empty());
  EXPECT_TRUE(folder.names().empty());
}

}  // namespace
}  // namespace carat::cli
