// Outputs appear whole or not at all.
#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "base/memory.h"

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
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH((void)file->commit(), "failed_");
}

using enum OutputFile::Naming;

// Writes without committing.
Result<OutputFile> begun(const std::string& path, std::string_view content, OutputFile::Naming naming) {
  auto file = TRY(OutputFile::create(path, naming));
  TRY(file.write(content));
  return Result<OutputFile>(std::move(file));
}

TEST_F(FileTest, EitherWayOfNamingIsWholeOrNothing) {
  for (const auto naming : {Late, Early}) {
    ASSERT_TRUE(write_file(path("a"), "old"));
    EXPECT_TRUE(begun(path("a"), "dropped", naming));
    EXPECT_EQ(*read_file(path("a")), "old");
    EXPECT_EQ(n_files(), 1u);
    auto file = begun(path("a"), "new", naming);
    ASSERT_TRUE(file);
    EXPECT_EQ(n_files(), naming == Early ? 2u : 1u);
    EXPECT_EQ(*read_file(path("a")), "old");
    ASSERT_TRUE(file->commit());
    EXPECT_EQ(*read_file(path("a")), "new");
    EXPECT_EQ(n_files(), 1u);
  }
}

TEST_F(FileTest, TheLongestNamesAreWritten) {
  for (const auto naming : {Late, Early}) {
    auto file = begun(path(std::string(255, 'n')), "x", naming);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_TRUE(file->commit());
  }
  EXPECT_EQ(n_files(), 1u);
}

// Of two writers the last to commit wins; neither sees the other, or what a killed one has left.
TEST_F(FileTest, WritersOfOneFileDoNotMeet) {
  fs::create_directories(folder / fmt::format("a.{}.tmp", ::getpid()));
  for (const auto naming : {Late, Early}) {
    auto one = begun(path("a"), "one", naming), two = begun(path("a"), "two", naming);
    ASSERT_TRUE(one && two);
    EXPECT_TRUE(two->commit());
    EXPECT_EQ(*read_file(path("a")), "two");
    EXPECT_TRUE(one->commit());
    EXPECT_EQ(*read_file(path("a")), "one");
  }
}

TEST_F(FileTest, ALinkStaysAndItsTargetIsWritten) {
  fs::create_directories(folder / "sub");
  ASSERT_TRUE(write_file(path("sub/target"), "old"));
  fs::create_symlink("sub/second", folder / "link");
  fs::create_symlink("target", folder / "sub/second");
  fs::create_symlink("sub/new", folder / "dangling");
  fs::create_symlink("nowhere/new", folder / "lost");
  fs::create_symlink("loop", folder / "loop");
  ASSERT_TRUE(write_file(path("link"), "new"));
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_TRUE(fs::is_symlink(folder / "sub/second"));
  EXPECT_EQ(*read_file(path("sub/target")), "new");
  ASSERT_TRUE(write_file(path("dangling"), "made"));
  EXPECT_TRUE(fs::is_symlink(folder / "dangling"));
  EXPECT_EQ(*read_file(path("sub/new")), "made");
  EXPECT_FALSE(write_file(path("lost"), "x"));
  const auto loop = write_file(path("loop"), "x");
  ASSERT_FALSE(loop);
  EXPECT_NE(loop.error().message.find("loop: too many symbolic links"), std::string::npos);
}

TEST_F(FileTest, PermissionsAreKept) {
  for (const auto naming : {Late, Early})
    for (const mode_t mode : {0600u, 0755u}) {
      ASSERT_TRUE(write_file(path("a"), "old"));
      ASSERT_EQ(::chmod(path("a").c_str(), mode), 0);
      ASSERT_TRUE(begun(path("a"), "new", naming)->commit());
      struct stat status {};
      ASSERT_EQ(::stat(path("a").c_str(), &status), 0);
      EXPECT_EQ(status.st_mode & 07777, mode);
    }
}

// The folder would let a file be replaced that its owner has protected.
TEST_F(FileTest, AProtectedFileIsNotReplaced) {
  ASSERT_TRUE(write_file(path("a"), "old"));
  ASSERT_EQ(::chmod(path("a").c_str(), 0444), 0);
  ASSERT_EQ(::chmod(folder.c_str(), 0777), 0);
  const pid_t child = ::fork();
  if (child == 0) {  // root may write everything, nobody may not
    constexpr int kCannotAsk = 3;
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(kCannotAsk);
    ::_exit(OutputFile::create(path("a")) ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 3) GTEST_SKIP() << "cannot become nobody";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(FileTest, APipeIsRefusedNotWaitedFor) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_NE(MappedFile::open(path("pipe")).error().message.find("not a regular file"), std::string::npos);
  EXPECT_NE(read_file(path("pipe")).error().message.find("not a regular file"), std::string::npos);
}

TEST_F(FileTest, ReadsFilesThatDoNotTellTheirSize) {
  const auto status = read_file("/proc/self/status");
  if (!status) GTEST_SKIP() << "no /proc here";
  EXPECT_NE(status->find("Name:"), std::string::npos);
}

TEST_F(FileTest, AFileThatShrinksInUseEndsInOneLine) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto touch_what_is_gone = [&] {
    explain_lost_mappings();
    (void)write_file(path("model"), std::string(1 << 16, 'x'));
    const auto mapped = MappedFile::open(path("model"));
    if (!mapped || ::truncate(path("model").c_str(), 1) != 0) ::_exit(1);
    const volatile std::byte last = (*mapped)->bytes().back();
    ::_exit(last == std::byte{0} ? 3 : 4);
  };
  EXPECT_EXIT(touch_what_is_gone(), testing::ExitedWithCode(2),
              "^carat: a mapped file was truncated or cannot be read while in use");
}

TEST_F(FileTest, PagesComeAndGo) {
  std::string content(3 << 20, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 31 / 7);
  ASSERT_TRUE(write_file(path("pages"), content));
  const auto file = MappedFile::open(path("pages")).take();
  const auto all = file->bytes();
  const auto part = all.subspan(1000001, 1500000);
  file->ask_for(part);
  file->read_in(part);
  const auto touched = resident_bytes();
  file->drop(part);
  EXPECT_GT(touched, resident_bytes() + 1000000);
  file->expect_scattered_reads(all);
  for (const auto range : {all, part, all.subspan(5, 1), all.first(0), all.last(10)}) {
    file->read_in(range);
    file->drop(range);
    file->ask_for(range);
  }
  EXPECT_EQ(std::memcmp(all.data(), content.data(), content.size()), 0);
}

}  // namespace
}  // namespace carat
