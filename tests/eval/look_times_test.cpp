// Times of looks: repeated as they were, and nothing else taken for them.
#include "eval/look_times.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/file.h"

namespace carat {
namespace {

using std::chrono::seconds;

class LookTimesTest : public testing::Test {
 protected:
  const std::string path_ =
      (std::filesystem::temp_directory_path() / ("carat_looks_" + std::to_string(getpid()))).string();
  const SequentialOptions options_{.max_items = 400, .budget_seconds = 1e4};
  void SetUp() override { std::filesystem::remove(path_); }
  void TearDown() override { std::filesystem::remove(path_); }

  // As if the judgement had begun so long ago.
  Result<LookTimes> open(int ago, const SequentialOptions& options, double alpha = 0.05) const {
    return LookTimes::open(path_, "a", options, alpha, LookTimes::Clock::now() - seconds(ago));
  }
  LookTimes open(int ago) const { return open(ago, options_).take(); }
  void keep_two_looks() const {
    LookTimes first = open(20);
    EXPECT_NEAR(first.next(100).take(), 20, 5);
    LookTimes second = open(7);  // went on after an interruption, again
    EXPECT_NEAR(second.next(100).take(), 20, 5);
    EXPECT_NEAR(second.next(200).take(), 20, 5);
  }
  std::string message(const Result<LookTimes>& result) const {
    EXPECT_FALSE(result.has_value());
    if (result) return "";
    EXPECT_TRUE(result.error().message.starts_with(path_ + ": ")) << result.error().message;
    EXPECT_EQ(result.error().message.find('\n'), std::string::npos);
    return result.error().message;
  }
};

TEST_F(LookTimesTest, WithoutAFileItIsTheClock) {
  LookTimes times = LookTimes::open("", "a", options_, 0.05, LookTimes::Clock::now() - seconds(30)).take();
  EXPECT_NEAR(times.next(100).take(), 30, 5);
  const double second = times.next(200).take();
  EXPECT_NEAR(second, 30, 5);
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(LookTimesTest, LooksAreRepeatedToTheBit) {
  keep_two_looks();
  const std::string kept = read_file(path_).take();
  LookTimes times = open(1000);
  const double first = times.next(100).take(), second = times.next(200).take();
  EXPECT_GE(second, first);
  LookTimes again = open(5);
  EXPECT_EQ(again.next(100).take(), first);
  EXPECT_EQ(again.next(200).take(), second);
  EXPECT_EQ(read_file(path_).take(), kept);
  EXPECT_GE(again.next(400).take(), second);  // the clock goes on from there, whatever lay between
  EXPECT_LT(times.next(400).take(), second + 60);
}

// Its scores were kept, so its time counts, too.
TEST_F(LookTimesTest, WhatALookHadTakenWhenItWasLeftCounts) {
  keep_two_looks();
  for (const int ago : {30, 40}) {
    LookTimes times = open(ago);
    EXPECT_TRUE(times.leave().has_value());  // before it is where it was: nothing new
    EXPECT_NEAR(times.next(100).take(), 20, 5);
    EXPECT_NEAR(times.next(200).take(), 20, 5);
    EXPECT_TRUE(times.leave().has_value());
  }
  LookTimes first =
      LookTimes::open(path_ + "-new", "a", options_, 0.05, LookTimes::Clock::now() - seconds(50)).take();
  EXPECT_TRUE(first.leave().has_value());
  LookTimes second =
      LookTimes::open(path_ + "-new", "a", options_, 0.05, LookTimes::Clock::now() - seconds(60)).take();
  EXPECT_TRUE(second.leave().has_value());
  LookTimes third =
      LookTimes::open(path_ + "-new", "a", options_, 0.05, LookTimes::Clock::now() - seconds(70)).take();
  EXPECT_NEAR(third.next(100).take(), 180, 15);
  EXPECT_EQ(read_file(path_ + "-new").take().find("left"), std::string::npos);
  std::filesystem::remove(path_ + "-new");
}

TEST_F(LookTimesTest, AnotherJudgementIsRefused) {
  keep_two_looks();
  const std::string kept = read_file(path_).take();
  EXPECT_NE(message(open(0, {.max_items = 500, .budget_seconds = 1e4}))
                .find("'most items 400' there and 'most items 500'"),
            std::string::npos);
  EXPECT_NE(message(open(0, {.max_items = 400, .budget_seconds = 60})).find("'most seconds 10000' there"),
            std::string::npos);
  EXPECT_NE(message(open(0, options_, 0.01)).find("'error allowed 0.05' there"), std::string::npos);
  EXPECT_NE(message(LookTimes::open(path_, "b", options_, 0.05, LookTimes::Clock::now()))
                .find("'judgement a' there"),
            std::string::npos);
  LookTimes times = open(0);
  const auto other = times.next(50);
  ASSERT_FALSE(other.has_value());
  EXPECT_NE(other.error().message.find("look 1 was at 100 items there and is at 50 here"), std::string::npos);
  EXPECT_EQ(read_file(path_).take(), kept);
}

TEST_F(LookTimesTest, WhatIsNoSuchFileIsRefused) {
  keep_two_looks();
  const std::string kept = read_file(path_).take();
  const std::string header = kept.substr(0, kept.find("look 100"));
  const auto refuses = [&](const std::string& content) {
    write_file(path_, content).take();
    return !message(open(0, options_)).empty();
  };
  EXPECT_TRUE(refuses(""));
  EXPECT_TRUE(refuses("GGUF"));
  EXPECT_TRUE(refuses("carat looks 2\n"));
  for (size_t n = 0; n < kept.size(); ++n) {
    if (n >= header.size() && kept[n - 1] == '\n') continue;  // as it was after the first look, or before it
    if (n != header.size() - 1) EXPECT_TRUE(refuses(kept.substr(0, n))) << n;
  }
  for (const char* line : {"look",
                           "look 5",
                           "look 5 x",
                           "look x 5",
                           "look 5 nan",
                           "look 5 inf",
                           "look 5 -1",
                           "look 0 1",
                           "look -3 1",
                           "look 5 1 1",
                           "look 99999999999999999999 1",
                           "glance 5 1",
                           " ",
                           "look  5 1",
                           "look 5 1 ",
                           "look 05 1",
                           "look 5 1.0",
                           "left",
                           "left -1",
                           "left x",
                           "left 1\nlook 6 2",
                           "left 1\nleft 2",
                           "look 5 1\n\nlook 6 2",
                           "look 5 2\nlook 6 1",
                           "look 5 2\nlook 5 3"})
    EXPECT_TRUE(refuses(header + line + "\n")) << line;
  EXPECT_TRUE(refuses(std::string(2 << 20, 'x')));
  write_file(path_, header + "look 5 1\nlook 6 1\n").take();
  EXPECT_TRUE(open(0, options_).has_value());
}

TEST_F(LookTimesTest, WhatCannotBeWrittenIsSaid) {
  const std::string nowhere = path_ + "-no-folder/looks";
  LookTimes times = LookTimes::open(nowhere, "a", options_, 0.05, LookTimes::Clock::now()).take();
  EXPECT_FALSE(times.next(100).has_value());
}

}  // namespace
}  // namespace carat
