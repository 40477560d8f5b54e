// Passes and kept weights by memory, and the thread that reads ahead.
#include "eval/schedule.h"

#include <gtest/gtest.h>

#include "base/memory.h"
#include "eval/read_ahead.h"
#include "eval/small_models.h"

namespace carat {
namespace {

class ScheduleTest : public testing::Test {
 protected:
  static constexpr int64_t kMega = 1 << 20;

  ScheduleTest() {
    const SynthShape shape{.like = "e2b", .n_layers = 12, .width_divisor = 3, .n_vocab = 600};
    synthesize(shape, {.matrix_type = TensorType::F16, .embedding_type = TensorType::F16}, path_).take();
    model_ = open_model(path_).take();
    request_.suite = &suite_;
    request_.models = {{model_, TensorType::F16}, {model_, TensorType::Q8_0}};
    request_.max_rows = 32;
    request_.pass_tokens = 300;
    files_ = shared_files(request_.models);
    for (size_t i = 0; i < suite_.items.size(); ++i) items_.push_back(static_cast<int64_t>(i));
  }
  ~ScheduleTest() override { std::filesystem::remove(path_); }

  Schedule with(int64_t memory_bytes) {
    request_.memory_bytes = memory_bytes;
    return make_schedule(request_, files_, items_).take();
  }

  const std::string path_ =
      (std::filesystem::temp_directory_path() / ("carat_schedule_" + std::to_string(getpid()) + ".gguf")).string();
  std::shared_ptr<const Model> model_;
  Suite suite_ = random_suite(40, 20, 60, 600, 2);
  LockstepRequest request_;
  std::vector<SharedFile> files_;
  std::vector<int64_t> items_;
};

TEST_F(ScheduleTest, OneFileForSeveralModels) {
  ASSERT_EQ(files_.size(), 1u);
  EXPECT_EQ(files_[0].lanes, (std::vector<size_t>{0, 1}));
  uint64_t n = files_[0].pages.head.n_bytes + files_[0].pages.tables.n_bytes + files_[0].pages.other_bytes;
  for (const PageGroup& layer : files_[0].pages.layers) n += layer.n_bytes;
  EXPECT_EQ(n, model_->weight_bytes());  // every tensor is somewhere, and once
}

TEST_F(ScheduleTest, WithMemoryEnoughEverythingStays) {
  const Schedule schedule = with(int64_t{8} << 30);
  EXPECT_FALSE(schedule.plan.streams());
  EXPECT_EQ(schedule.plan.kept_bytes, schedule.plan.weight_bytes);
  size_t n_items = 0;
  for (const auto& pass : schedule.passes) {
    int64_t n = 0;
    for (const int64_t i : pass) n += static_cast<int64_t>(suite_.items[static_cast<size_t>(i)].tokens.size()) - 1;
    EXPECT_LE(n, 300);
    n_items += pass.size();
  }
  EXPECT_EQ(n_items, items_.size());
}

TEST_F(ScheduleTest, LessMemoryKeepsLessAndTooLittleIsRefused) {
  const auto weights = static_cast<int64_t>(model_->weight_bytes());
  ASSERT_GT(weights, 40 * kMega);
  const int64_t least = with(int64_t{8} << 30).plan.memory_least;
  const Schedule little = with(least + 2 * kMega), more = with(least + weights / 2);
  for (const Schedule* schedule : {&little, &more}) {
    EXPECT_TRUE(schedule->plan.streams());
    EXPECT_LT(schedule->plan.kept_bytes, schedule->plan.weight_bytes);
    EXPECT_EQ(schedule->plan.kept_bytes + schedule->plan.pass_bytes, schedule->plan.weight_bytes);
  }
  EXPECT_GT(more.plan.kept_bytes, little.plan.kept_bytes);
  EXPECT_LT(more.plan.read_bytes, little.plan.read_bytes);
  EXPECT_LE(more.plan.n_passes, little.plan.n_passes);
  request_.memory_bytes = least - 8 * kMega;
  const auto refused = make_schedule(request_, files_, items_);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message.find("GB of memory are allowed, expected at least"), std::string::npos);
}

// What a schedule for little memory promises, measured: no more of the file in this process than it says.
TEST_F(ScheduleTest, StreamedPagesLeaveTheProcess) {
  model_->file.release_pages();
  std::vector<ReadAhead::Step> steps;
  int64_t largest = 0;
  for (const PageGroup& layer : files_[0].pages.layers) {
    steps.push_back({&layer, false});
    largest = std::max(largest, static_cast<int64_t>(layer.n_bytes));
  }
  const auto before = static_cast<int64_t>(resident_bytes());
  {
    ReadAhead ahead(steps, 2);
    for (size_t i = 0; i < 2 * steps.size(); ++i) {
      ahead.advance();
      EXPECT_LT(static_cast<int64_t>(resident_bytes()) - before, 2 * largest + 4 * kMega) << i;
    }
  }
}

TEST_F(ScheduleTest, ReadingAheadCanEndEarly) {
  std::vector<ReadAhead::Step> steps;
  for (const PageGroup& layer : files_[0].pages.layers) steps.push_back({&layer, true});
  steps.push_back({nullptr, false});
  {
    ReadAhead never_asked(steps, 3);
  }
  ReadAhead ahead(steps, 3);
  for (size_t i = 0; i < steps.size() + 2; ++i) ahead.advance();
}

}  // namespace
}  // namespace carat
