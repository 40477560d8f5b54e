// The writer's bytes, what it refuses, and that a failure leaves nothing behind.
#include "gguf/writer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "craft.h"
#include "gguf/reader.h"

namespace carat::gguf {
namespace {

namespace fs = std::filesystem;
using craft::Bytes;

struct Writer : testing::Test {
  fs::path folder = fs::temp_directory_path() / fmt::format("carat-writer-test-{}", ::getpid());
  void SetUp() override { fs::create_directories(folder); }
  void TearDown() override {
    interrupt_requested = false;
    fs::remove_all(folder);
  }
  std::string path(std::string_view name = "out.gguf") { return (folder / name).string(); }
  size_t n_files() { return static_cast<size_t>(std::distance(fs::directory_iterator(folder), {})); }

  // The error of writing, after which no file may be left.
  std::string error_of(const Metadata& metadata, const std::vector<TensorToWrite>& tensors) {
    const auto written = write(path(), metadata, tensors);
    EXPECT_EQ(n_files(), written ? 1u : 0u);
    return written ? "(written)" : written.error().message;
  }
};

const std::vector<float> kThree = {1, -2, 0.5f};

Bytes file_bytes(const std::string& path) {
  const auto text = read_file(path);
  EXPECT_TRUE(text);
  return Bytes().raw(*text);
}

TEST_F(Writer, WritesTheReferenceLayout) {
  Metadata metadata;
  metadata.set("k", uint32_t{7});
  metadata.set("b", true);
  const std::vector<std::string> words = {"x", "yz"};
  metadata.set_texts("t", words);
  const std::vector<float> matrix = {1, 2, 3, 4, 5, 6};
  ASSERT_TRUE(
      write(path(), metadata, {owned_f32("n", {3, 1, 1, 1}, kThree), owned_f32("m", {3, 1, 2, 1}, matrix)}));
  Bytes expected;  // by hand: every field in the order of the format's grammar
  expected.raw("GGUF").u32(3).u64(2).u64(3);
  expected.u64(1).raw("k").u32(4).u32(7);
  expected.u64(1).raw("b").u32(7).u8(1);
  expected.u64(1).raw("t").u32(9).u32(8).u64(2).u64(1).raw("x").u64(2).raw("yz");
  expected.u64(1).raw("n").u32(1).u64(3).u32(0).u64(0);
  expected.u64(1).raw("m").u32(3).u64(3).u64(1).u64(2).u32(0).u64(32);
  expected.pad(32);
  expected.f32(1).f32(-2).f32(0.5f).pad(32);
  for (const float v : matrix) expected.f32(v);
  expected.pad(32);
  EXPECT_EQ(file_bytes(path()).get(), expected.get());
}

TEST_F(Writer, AFileRewrittenIsTheSameFile) {
  const auto original = craft::everything().build();
  const auto file = parse(original, "original");
  ASSERT_TRUE(file);
  std::vector<TensorToWrite> tensors;
  for (const Tensor& tensor : file->tensors) tensors.push_back(existing(tensor));
  ASSERT_TRUE(write(path(), file->metadata, tensors));
  auto expected = Bytes();
  for (const std::byte b : original) expected.u8(static_cast<uint8_t>(b));
  expected.pad(32);  // the last tensor is padded too
  EXPECT_EQ(file_bytes(path()).get(), expected.get());
}

TEST_F(Writer, AScalarHasOneDimension) {
  ASSERT_TRUE(write(path(), {}, {owned_f32("s", {1, 1, 1, 1}, std::vector<float>{2})}));
  const auto file = open(path());
  ASSERT_TRUE(file);
  EXPECT_EQ(file_bytes(path()).size(), 24u + (8 + 1 + 4 + 8 + 4 + 8) + 7 + 32);
  EXPECT_EQ(*file->find("s")->f32(), 2);
}

TEST_F(Writer, AForeignAlignmentIsDropped) {
  for (const uint32_t alignment : {64u, 32u}) {
    Metadata metadata;
    metadata.set("general.alignment", alignment);
    metadata.set("k", uint32_t{1});
    ASSERT_TRUE(write(path(), metadata, {owned_f32("n", {3, 1, 1, 1}, kThree)}));
    const auto file = open(path());
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->metadata.contains("general.alignment"), alignment == 32);
    EXPECT_TRUE(file->metadata.contains("k"));
    EXPECT_EQ(file->find("n")->f32()[2], 0.5f);
  }
}

TEST_F(Writer, WritesWholeFilesOnly) {
  Metadata part;
  for (const std::string_view key : {"split.no", "split.count"}) part.set(key, uint16_t{3});
  part.set("split.tensors.count", int32_t{1});
  part.set("split", uint32_t{1});
  ASSERT_TRUE(write(path(), part, {owned_f32("n", {3, 1, 1, 1}, kThree)}));
  const auto file = open(path());
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->metadata.entries().size(), 1u);
  EXPECT_EQ(file->metadata.entries()[0].key, "split");
}

TEST_F(Writer, StreamsPiecesOfAnySize) {
  const size_t n = 3 * 1024 * 1024 + 5;
  std::vector<std::byte> content(n);
  for (size_t i = 0; i < n; ++i) content[i] = static_cast<std::byte>(i * 7 + i / 256);
  const TensorToWrite streamed{
      "s", TensorType::I8, {static_cast<int64_t>(n), 1, 1, 1}, [&](const ByteSink& sink) -> Result<void> {
        for (size_t begin = 0, size = 1; begin < n; begin += size, size = size * 3 + 1)
          TRY(sink(std::span(content).subspan(begin, std::min(size, n - begin))));
        return {};
      }};
  uint64_t last = 0, total = 0;
  const Progress progress = [&](uint64_t done, uint64_t of, std::string_view) {
    EXPECT_GE(done, last);
    last = done, total = of;
  };
  ASSERT_TRUE(write(path(), {}, {streamed, owned_f32("n", {3, 1, 1, 1}, kThree)}, progress));
  EXPECT_EQ(last, n + 12);
  EXPECT_EQ(total, n + 12);
  const auto file = open(path());
  ASSERT_TRUE(file);
  EXPECT_TRUE(std::ranges::equal(file->find("s")->bytes(), content));
}

TEST_F(Writer, RefusesWhatTheReaderWouldRefuse) {
  const auto three = [](std::string name) { return owned_f32(std::move(name), {3, 1, 1, 1}, kThree); };
  const auto shaped = [](TensorType type, Shape shape) {
    return TensorToWrite{"t", type, shape, [](const ByteSink&) { return Result<void>(); }};
  };
  EXPECT_NE(error_of({}, {three("")}).find("name is empty"), std::string::npos);
  EXPECT_NE(error_of({}, {three(std::string(64, 'n'))}).find("at most 63"), std::string::npos);
  EXPECT_NE(error_of({}, {three(std::string("a\0b", 3))}).find("NUL"), std::string::npos);
  EXPECT_NE(error_of({}, {three("a"), three("a")}).find("'a': occurs twice"), std::string::npos);
  EXPECT_NE(error_of({}, {shaped(TensorType::Q4_K, {32, 8, 1, 1})}).find("blocks of 256"), std::string::npos);
  EXPECT_NE(error_of({}, {shaped(TensorType::F32, {0, 1, 1, 1})}).find("dimension 0"), std::string::npos);
  EXPECT_NE(error_of({}, {shaped(TensorType::F32, {1 << 30, 1 << 30, 4, 1})}).find("2^62"),
            std::string::npos);
  Metadata metadata;
  metadata.set("", uint32_t{1});
  EXPECT_NE(error_of(metadata, {}).find("key is empty"), std::string::npos);
}

TEST_F(Writer, ProgressHearsPrintableNames) {
  std::string heard;
  ASSERT_TRUE(write(path(), {}, {owned_f32("\x1b[2J", {3, 1, 1, 1}, kThree)},
                    [&](uint64_t, uint64_t, std::string_view what) { heard = what; }));
  EXPECT_EQ(heard, "\\x1b[2J");
}

TEST_F(Writer, AProducersErrorLeavesNoFile) {
  const TensorToWrite bad{"b", TensorType::F32, {3, 1, 1, 1}, [](const ByteSink& sink) -> Result<void> {
                            TRY(sink(std::as_bytes(std::span(kThree)).first(4)));
                            return fail("the source broke");
                          }};
  EXPECT_EQ(error_of({}, {owned_f32("a", {3, 1, 1, 1}, kThree), bad}), "the source broke");
}

TEST_F(Writer, AnErrorKeepsTheOldFile) {
  ASSERT_TRUE(write(path(), {}, {owned_f32("a", {3, 1, 1, 1}, kThree)}));
  const auto before = file_bytes(path());
  interrupt_requested = true;
  const auto written = write(path(), {}, {owned_f32("other", {3, 1, 1, 1}, kThree)});
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().message.find("interrupted"), std::string::npos);
  EXPECT_EQ(n_files(), 1u);
  EXPECT_EQ(file_bytes(path()).get(), before.get());
}

TEST_F(Writer, NamesADiskThatIsFullAndAFolderThatIsMissing) {
  const std::vector<TensorToWrite> tensors = {owned_f32("a", {3, 1, 1, 1}, kThree)};
  const auto missing = write(path("no/such/folder.gguf"), {}, tensors);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("no/such/folder.gguf"), std::string::npos);
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  const auto full = write("/dev/full", {}, tensors);
  ASSERT_FALSE(full);
  EXPECT_NE(full.error().message.find("/dev/full"), std::string::npos);
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
}

TEST_F(Writer, AWrongByteCountIsOurFault) {
  const auto feeding = [](size_t n) {
    return TensorToWrite{"t", TensorType::I8, {8, 1, 1, 1}, [n](const ByteSink& sink) {
                           return sink(std::vector<std::byte>(n));
                         }};
  };
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH((void)write(path(), {}, {feeding(7)}), "n_written == n_bytes");
  EXPECT_DEATH((void)write(path(), {}, {feeding(9)}), "piece.size\\(\\) <= n_bytes");
  EXPECT_EQ(n_files(), 0u);
}

}  // namespace
}  // namespace carat::gguf
