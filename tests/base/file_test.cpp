// Outputs appear whole or not at all.
#include "base/file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

namespace carat {
namespace {

namespace fs = std::filesystem;

struct FileTest : testing::Test {
  fs::path folder = fs::temp_directory_path() / fmt::format("carat-file-test-{}", ::getpid());
  void SetUp() override { fs::create_directories(folder); }
  void TearDown() override { fs::remove_all(folder); }
  std::string path(std::string_view name) { return (folder / name).string(); }
  size_t n_files() { return static_cast<size_t>(std::distance(fs::directory_iterator(folder), {})); }
};

TEST_F(FileTest, CommitMakesTheFileAndLeavesNothingElse) {
  ASSERT_TRUE(write_file(path("a"), "hello"));
  EXPECT_EQ(*read_file(path("a")), "hello");
  ASSERT_TRUE(write_file(path("a"), "again"));
  EXPECT_EQ(*read_file(path("a")), "again");
  EXPECT_EQ(n_files(), 1u);
}

TEST_F(FileTest, WithoutCommitTheOldFileStays) {
  ASSERT_TRUE(write_file(path("a"), "old"));
  {
    auto file = OutputFile::create(path("a"));
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->write(std::string_view("new")));
  }
  EXPECT_EQ(*read_file(path("a")), "old");
  EXPECT_EQ(n_files(), 1u);
}

TEST_F(FileTest, ErrorsNameTheFile) {
  const auto missing = MappedFile::open(path("missing"));
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("missing"), std::string::npos);
  EXPECT_FALSE(MappedFile::open(folder.string()));
  EXPECT_FALSE(OutputFile::create(folder.string()));
  EXPECT_FALSE(OutputFile::create(path("no/such/folder")));
}

TEST_F(FileTest, EmptyFileMapsToNothing) {
  ASSERT_TRUE(write_file(path("empty"), ""));
  EXPECT_EQ((*MappedFile::open(path("empty")))->bytes().size(), 0u);
}

TEST_F(FileTest, FullDiskIsAnError) {
  auto file = OutputFile::create("/dev/full");
  if (!file) GTEST_SKIP() << "no /dev/full here";
  EXPECT_FALSE(file->write(std::string_view("x")));
}

}  // namespace
}  // namespace carat
