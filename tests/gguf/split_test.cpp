// Split models: any part opens all of them, and every way in which parts can fail to be one model is one
// clear line.
#include "gguf/split.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "craft.h"

namespace carat::gguf {
namespace {

namespace fs = std::filesystem;
using craft::Draft, craft::part;

struct Split : testing::Test {
  fs::path folder = fs::temp_directory_path() / fmt::format("carat-split-test-{}", ::getpid());
  std::string prefix = (folder / "model").string();

  void SetUp() override { fs::create_directories(folder); }
  void TearDown() override { fs::remove_all(folder); }

  void put(const std::string& path, const Draft& draft) {
    const auto bytes = draft.build();
    ASSERT_TRUE(write_file(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
  }
  std::string path(int no, int count = 3) const { return split_path(prefix, no, count); }

  // Three parts with the tensors a, b and c.
  void put_three() {
    for (int no = 0; no < 3; ++no) put(path(no), part(no, 3, std::string(1, static_cast<char>('a' + no)), 3));
  }
  std::string error(int no = 0) {
    const auto file = open(path(no));
    return file ? "(opened)" : file.error().message;
  }
};

TEST_F(Split, AnyPartOpensAll) {
  put_three();
  for (int no = 0; no < 3; ++no) {
    const auto file = open(path(no));
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->path, path(0));
    EXPECT_EQ(*file->metadata.text("general.architecture"), "gemma4");
    ASSERT_EQ(file->tensors.size(), 3u);
    ASSERT_EQ(file->parts.size(), 3u);
    uint64_t n_bytes = 0;
    for (size_t i = 0; i < 3; ++i) {
      const Part& p = file->parts[i];
      EXPECT_EQ(p.path, path(static_cast<int>(i)));
      EXPECT_EQ(p.first_tensor, i);
      EXPECT_EQ(p.n_tensors, 1u);
      EXPECT_EQ(p.n_bytes, fs::file_size(p.path));
      n_bytes += p.n_bytes;
      const auto bytes = p.mapping->bytes();
      const Tensor& tensor = file->tensors[i];
      EXPECT_EQ(file->find(tensor.name), &tensor);
      EXPECT_EQ(tensor.data + 32, bytes.data() + bytes.size());
      EXPECT_TRUE(reinterpret_cast<const std::byte*>(tensor.name.data()) > bytes.data() &&
                  reinterpret_cast<const std::byte*>(tensor.name.data()) < tensor.data);
    }
    EXPECT_EQ(file->n_bytes, n_bytes);
    file->release_pages();
    EXPECT_EQ(file->find("c")->f32()[3], 0);
  }
}

TEST_F(Split, TheOrderOfTensorsIsThatOfTheParts) {
  put(path(0, 2), part(0, 2, "z", 2));
  put(path(1, 2), part(1, 2, "a", 2));
  const auto file = open(path(1, 2));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->tensors[0].name, "z");
  EXPECT_EQ(file->tensors[1].name, "a");
}

TEST_F(Split, OnePartOfOneIsAWholeFileOfAnyName) {
  put(prefix + ".gguf", part(0, 1, "a", 1));
  const auto file = open(prefix + ".gguf");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->parts.size(), 1u);
}

TEST_F(Split, NamesAreTheFormats) {
  EXPECT_EQ(split_path("dir/model", 0, 3), "dir/model-00001-of-00003.gguf");
  EXPECT_EQ(split_path("m", 65534, 65535), "m-65535-of-65535.gguf");
  EXPECT_EQ(*split_prefix("dir/model-00002-of-00003.gguf", 1, 3), "dir/model");
  EXPECT_EQ(*split_prefix("-00001-of-00002.gguf", 0, 2), "");
  for (const std::string_view path : {"model.gguf", "model-00001-of-00003.gguf", "model-2-of-3.gguf", "",
                                      "model-00002-of-00004.gguf", "model-00002-of-00003.gguf.part"})
    EXPECT_FALSE(split_prefix(path, 1, 3)) << path;
}

TEST_F(Split, AMissingPartIsNamed) {
  put_three();
  fs::remove(path(1));
  EXPECT_EQ(error(), path(1) + ": cannot open: No such file or directory (part 2 of 3)");
  EXPECT_EQ(error(2), path(1) + ": cannot open: No such file or directory (part 2 of 3)");
}

TEST_F(Split, ARenamedPartCannotFindItsSiblings) {
  put(prefix + ".gguf", part(1, 3, "a", 3));
  EXPECT_EQ(
      open(prefix + ".gguf").error().message,
      prefix +
          ".gguf: part 2 of 3 of a split model, expected a name like 'model-00002-of-00003.gguf', beside "
          "the other parts");
}

TEST_F(Split, PartsMustBeWhatTheirNamesSay) {
  put_three();
  put(path(1), part(2, 3, "b", 3));
  EXPECT_EQ(error(), path(1) + ": its keys say part 3 of 3, expected part 2 of 3 as its name says");
  put(path(1), part(1, 4, "b", 3));
  EXPECT_EQ(error(), path(1) + ": its keys say part 2 of 4, expected part 2 of 3 as its name says");
  Draft whole = part(1, 3, "b", 3);
  whole.keys.clear();
  put(path(1), whole);
  EXPECT_EQ(error(), path(1) + ": its keys say part 1 of 1, expected part 2 of 3 as its name says");
}

TEST_F(Split, PartsMustBeOfOneModel) {
  put_three();
  put(path(2), part(2, 3, "c", 7));
  EXPECT_EQ(error(), path(2) + ": key 'split.tensors.count': 7, expected 3 as in part 1: of another model?");
  put(path(2), part(2, 3, "b", 3));
  EXPECT_EQ(error(), path(2) + ": tensor 'b': occurs in part 2 too");
  put(path(2), part(2, 3, "a", 3));
  EXPECT_EQ(error(), path(2) + ": tensor 'a': occurs in part 1 too");
}

TEST_F(Split, TotalsMustAgree) {
  for (int no = 0; no < 3; ++no) put(path(no), part(no, 3, std::string(1, static_cast<char>('a' + no)), 4));
  EXPECT_EQ(error(), path(0) + ": 3 tensors in 3 parts, expected 4 (key 'split.tensors.count')");
  put_three();
  Draft silent = part(0, 3, "a", 3);
  silent.keys.pop_back();
  put(path(0), silent);
  EXPECT_EQ(error(), path(0) + ": key 'split.tensors.count' is missing");
  Draft other = part(1, 3, "b", 3);  // only the first must say
  other.keys.pop_back();
  put(path(1), other);
  put(path(0), part(0, 3, "a", 3));
  EXPECT_EQ(error(), "(opened)");
}

TEST_F(Split, KeysOutOfRange) {
  const auto with = [&](std::string_view key, uint32_t value) {
    Draft draft;
    for (const auto& [name, ordinary] :
         {std::pair{"split.no", 0u}, {"split.count", 3u}, {"split.tensors.count", 3u}})
      draft.keys.push_back(craft::key_u32(name, name == key ? value : ordinary));
    put(path(0), draft);
    return error();
  };
  EXPECT_EQ(with("split.no", 3), path(0) + ": key 'split.no': 3 is outside 0..2");
  EXPECT_EQ(with("split.count", 65536), path(0) + ": key 'split.count': 65536 is outside 0..65535");
  EXPECT_EQ(with("split.tensors.count", 100'001),
            path(0) + ": key 'split.tensors.count': 100001 is outside 0..100000");
}

// A part that is cut at any byte is refused, whichever part is named.
TEST_F(Split, EveryPrefixOfAPartFailsCleanly) {
  put_three();
  const auto bytes = part(1, 3, "b", 3).build();
  const size_t n_padding = 16;  // after four F32 values; nobody misses it
  for (size_t n = 0; n + n_padding < bytes.size(); ++n) {
    ASSERT_TRUE(write_file(path(1), {reinterpret_cast<const char*>(bytes.data()), n}));
    EXPECT_EQ(error().find(path(1) + ": "), 0u) << n;
    EXPECT_EQ(error(1).find(path(1) + ": "), 0u) << n;
  }
}

}  // namespace
}  // namespace carat::gguf
