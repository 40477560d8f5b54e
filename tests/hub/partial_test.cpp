// Parts of files and their state, and the cache's folders.
#include "hub/partial.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>

#include "hub/cache.h"
#include "hub/folder.h"

namespace carat::hub {
namespace {

TEST(PartialState, CoversTheFileExactly) {
  for (const uint64_t n : {0u, 1u, 9u, 10u, 11u, 20u, 25u}) {
    const PartialState state = PartialState::start("x", n, 10);
    uint64_t sum = 0;
    for (size_t i = 0; i < state.done.size(); ++i) {
      EXPECT_GT(state.chunk_size(i), 0u);
      sum += state.chunk_size(i);
    }
    EXPECT_EQ(sum, n);
  }
  EXPECT_LT(PartialState::start("x", uint64_t{1} << 45, 1).done.size(), 2u << 20);
}

TEST(PartialState, RoundTripAndEveryPrefix) {
  PartialState state = PartialState::start("abc", 25, 10);
  state.done = {10, 3, 0};
  const std::string text = to_text(state);
  const auto again = parse_partial_state(text);
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, state);
  EXPECT_EQ(again->total_done(), 13u);
  for (size_t n = 0; n < text.size(); ++n) EXPECT_FALSE(parse_partial_state(text.substr(0, n))) << n;
  EXPECT_FALSE(parse_partial_state(text + "1\n"));
  EXPECT_TRUE(parse_partial_state(to_text(PartialState::start("abc", 0, 10))));
}

TEST(PartialState, Contradictions) {
  for (const char* text :
       {"carat-partial 1\nx\n25 10\n11\n0\n0\n", "carat-partial 1\nx\n25 10\n10\n10\n6\n",
        "carat-partial 1\nx\n25 0\n", "carat-partial 1\nx\n25 10\n-1\n0\n0\n",
        "carat-partial 1\nx\n18446744073709551615 1\n", "carat-partial 1\nx\n99999999999999999999 10\n",
        "carat-partial 2\nx\n0 10\n", "carat-partial 1\nx\n25  10\n0\n0\n0\n"})
    EXPECT_FALSE(parse_partial_state(text)) << text;
}

TEST(PartialFile, GoesOnOrStartsAnew) {
  const Folder folder;
  const std::string base = folder / "blob";
  {
    auto file = PartialFile::open(base, "hash", 25, 10);
    ASSERT_TRUE(file) << file.error().message;
    const std::string bytes = "0123456789";
    ASSERT_TRUE(file->write(1, 0, std::as_bytes(std::span(bytes.data(), bytes.size()))));
    file->record(1, 10);
    ASSERT_TRUE(file->save());
  }
  EXPECT_EQ(PartialFile::open(base, "hash", 25, 7)->state().total_done(), 10u) << "the state's chunks count";
  EXPECT_EQ(PartialFile::open(base, "other", 25, 10)->state().total_done(), 0u);
  EXPECT_EQ(PartialFile::open(base, "hash", 25, 10)->state().total_done(), 0u) << "the data was given back";
  write(base + ".carat-state", "nonsense");
  EXPECT_EQ(PartialFile::open(base, "hash", 25, 10)->state().total_done(), 0u);
}

TEST(PartialFile, NoRoomIsSaidFirst) {
  const Folder folder;
  const auto file = PartialFile::open(folder / "blob", "hash", uint64_t{1} << 44, 1 << 24);
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().message.find("room for"), std::string::npos) << file.error().message;
  EXPECT_FALSE(exists(folder / "blob.carat-part"));
}

TEST(PartialFile, ADiskThatEnds) {
  const Folder folder;
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const rlimit small{1000, old.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  const auto file = PartialFile::open(folder / "blob", "hash", 5000, 1000);
  ::setrlimit(RLIMIT_FSIZE, &old);
  ASSERT_FALSE(file);
  EXPECT_FALSE(exists(folder / "blob.carat-part"));
}

// The environment decides where the cache lies, as it does for the other tools.
class Environment {
 public:
  explicit Environment(std::vector<std::pair<std::string, std::string>> values) {
    for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME"}) {
      const char* old = std::getenv(name);
      old_.emplace_back(name, old == nullptr ? std::nullopt : std::optional<std::string>(old));
      ::unsetenv(name);
    }
    for (const auto& [name, value] : values) ::setenv(name.c_str(), value.c_str(), 1);
  }
  ~Environment() {
    for (const auto& [name, value] : old_)
      value ? ::setenv(name.c_str(), value->c_str(), 1) : ::unsetenv(name.c_str());
  }

 private:
  std::vector<std::pair<std::string, std::optional<std::string>>> old_;
};

std::string root_with(std::vector<std::pair<std::string, std::string>> values) {
  const Environment environment(std::move(values));
  const auto cache = Cache::from_environment();
  return cache ? cache->root() : "error: " + cache.error().message;
}

TEST(HubCache, WhereItLies) {
  EXPECT_EQ(root_with({{"HOME", "/h"}}), "/h/.cache/huggingface/hub");
  EXPECT_EQ(root_with({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}}), "/x/huggingface/hub");
  EXPECT_EQ(root_with({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}, {"HF_HOME", "~/f"}}), "/h/f/hub");
  EXPECT_EQ(root_with({{"HOME", "/h"}, {"HF_HOME", "/f"}, {"HF_HUB_CACHE", "/c"}}), "/c");
  EXPECT_EQ(root_with({{"HOME", "/h"}, {"HF_HUB_CACHE", ""}}), "/h/.cache/huggingface/hub");
  EXPECT_TRUE(root_with({}).starts_with("error: "));
}

TEST(HubCache, LinksAreRelativeAndReplaced) {
  const Folder folder;
  const Cache cache(folder.path());
  const Request request{{"lab", "tiny"}, "main", ""};
  const std::string commit(40, 'c');
  ASSERT_TRUE(cache.make_folders(request.repo));
  write(cache.blob_path(request.repo, "b1"), "one");
  write(cache.blob_path(request.repo, "b2"), "two");
  ASSERT_TRUE(cache.link(request.repo, commit, "sub/deep/a.gguf", "b1"));
  ASSERT_TRUE(cache.link(request.repo, commit, "a.gguf", "b1"));
  ASSERT_TRUE(cache.link(request.repo, commit, "a.gguf", "b2"));
  ASSERT_TRUE(cache.link(request.repo, commit, "a.gguf", "b2"));
  EXPECT_EQ(std::filesystem::read_symlink(cache.snapshot_path(request.repo, commit, "sub/deep/a.gguf")),
            "../../../../blobs/b1");
  EXPECT_EQ(content_of(cache.snapshot_path(request.repo, commit, "sub/deep/a.gguf")), "one");
  EXPECT_EQ(content_of(folder / "models--lab--tiny/snapshots/" + commit + "/a.gguf"), "two");
}

TEST(HubCache, FindsWhatOthersPutThere) {
  const Folder folder;
  const Cache cache(folder.path());
  const std::string repo = folder / "models--lab--tiny/", commit(40, 'c');
  const auto find = [&](const std::string& what, const std::string& revision = "main") {
    const auto path = cache.find(Request{{"lab", "tiny"}, revision, what});
    return path ? *path : "error: " + path.error().message;
  };
  EXPECT_TRUE(find("Q4_0").find("carat pull lab/tiny:Q4_0") != std::string::npos) << find("Q4_0");
  write(repo + "snapshots/" + commit + "/m-Q4_0.gguf", "x");
  write(repo + "snapshots/" + commit + "/m-Q8_0.gguf", "x");
  EXPECT_EQ(find("Q4_0"), repo + "snapshots/" + commit + "/m-Q4_0.gguf") << "some tools note no revision";
  EXPECT_TRUE(find("Q4_0", "other").starts_with("error: ")) << "a revision that is not known";
  EXPECT_EQ(find("Q4_0", commit), repo + "snapshots/" + commit + "/m-Q4_0.gguf");
  write(repo + "refs/main", commit + "\n");
  EXPECT_EQ(find("q4_0"), repo + "snapshots/" + commit + "/m-Q4_0.gguf");
  EXPECT_TRUE(find("").starts_with("error: hf:lab/tiny: which one?")) << find("");
  std::filesystem::create_symlink("nowhere", repo + "snapshots/" + commit + "/m-BF16.gguf");
  EXPECT_TRUE(find("BF16").starts_with("error: ")) << "a link that leads nowhere";
  // A newer commit without the file, and one that is none.
  const std::string newer(40, 'd');
  write(repo + "refs/main", newer);
  write(repo + "snapshots/" + newer + "/m-Q5_0.gguf", "x");
  EXPECT_EQ(find("Q5_0"), repo + "snapshots/" + newer + "/m-Q5_0.gguf");
  EXPECT_EQ(find("Q4_0"), repo + "snapshots/" + commit + "/m-Q4_0.gguf");
  EXPECT_TRUE(find("Q4_0", newer).starts_with("error: "));
  std::filesystem::remove_all(repo + "snapshots");
  write(repo + "m-Q4_0.gguf", "x");
  write(repo + "refs/main", "..");
  EXPECT_TRUE(find("Q4_0").starts_with("error: ")) << "no commit";
}

}  // namespace
}  // namespace carat::hub
