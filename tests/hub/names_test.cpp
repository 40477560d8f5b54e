// Names that people type and names that servers give: OWNER/REPO:WHAT, paths, listings, and which file is
// meant.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "hub/choose.h"
#include "hub/listing.h"
#include "hub/name.h"

namespace carat::hub {
namespace {

TEST(HubName, WhatPeopleType) {
  const auto plain = parse_request("google/gemma-4-E2B-it-qat-q4_0-gguf");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->repo.owner, "google");
  EXPECT_EQ(plain->repo.name, "gemma-4-E2B-it-qat-q4_0-gguf");
  EXPECT_EQ(plain->revision, "main");
  EXPECT_EQ(plain->what, "");
  const auto all = parse_request("hf:a/b.c@refs/pr/1:sub/Model Q4_0.gguf");
  ASSERT_TRUE(all);
  EXPECT_EQ(all->repo, (Repo{"a", "b.c"}));
  EXPECT_EQ(all->revision, "refs/pr/1");
  EXPECT_EQ(all->what, "sub/Model Q4_0.gguf");
  EXPECT_EQ(to_text(*all), "a/b.c@refs/pr/1:sub/Model Q4_0.gguf");
}

TEST(HubName, Refused) {
  for (const std::string text :
       {"",         "hf:",     "a",     "a/",       "/b",         "a/b/c",
        "../b",     "a/..",    "a/b:",  "a/b:../x", "a/b:/etc/x", "a/b:x/../y",
        "a--b/c",   "a/b--c",  "-a/b",  "a/b.",     "a b/c",      "a/b@:x",
        "a/b@..:x", "a/b@x y", "a\n/b", "a/b:x\\y", "a/b:x\x01y", "https://huggingface.co/a/b"}) {
    const auto request = parse_request(text);
    ASSERT_FALSE(request) << text;
    for (const char c : request.error().message) EXPECT_TRUE(c >= 0x20 && c < 0x7f);
  }
  EXPECT_FALSE(parse_request(std::string(97, 'a') + "/b"));
  EXPECT_TRUE(parse_request(std::string(96, 'a') + "/b"));
}

TEST(HubName, SafePaths) {
  for (const std::string path : {"a", "a/b", "a.b/c..d", "...", "ä/日本.gguf"})
    EXPECT_TRUE(is_safe_path(path)) << path;
  EXPECT_TRUE(is_safe_path(std::string(255, 'x')));
  for (const std::string path :
       {"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a\\b", "a\nb"})
    EXPECT_FALSE(is_safe_path(path)) << path;
  EXPECT_FALSE(is_safe_path(std::string(256, 'x')));
  EXPECT_FALSE(is_safe_path(std::string_view("a\0b", 3)));
}

const std::string kHash(64, 'a');

std::string entry(const std::string& path, const std::string& size, const std::string& hash = kHash) {
  return R"({"type":"file","oid":"x","path":)" + path + R"(,"size":)" + size + R"(,"lfs":{"oid":")" + hash +
         R"(","size":)" + size + "}}";
}

TEST(HubListing, FilesAndFolders) {
  const auto files = parse_listing(R"([{"type":"directory","oid":"x","size":0,"path":"d"},)" +
                                   entry(R"("d/a.gguf")", "7") + R"(,{"type":"file","oid":")" +
                                   std::string(40, 'b') + R"(","size":3,"path":"README.md"}])");
  ASSERT_TRUE(files) << files.error().message;
  ASSERT_EQ(files->size(), 2u);
  EXPECT_EQ((*files)[0].path, "d/a.gguf");
  EXPECT_EQ((*files)[0].n_bytes, 7u);
  EXPECT_EQ((*files)[0].blob, kHash);
  EXPECT_FALSE((*files)[0].is_git_blob());
  EXPECT_TRUE((*files)[1].is_git_blob());
  EXPECT_TRUE(parse_listing("[]"));
}

TEST(HubListing, Refused) {
  const std::string good = entry(R"("a")", "1");
  ASSERT_TRUE(parse_listing("[" + good + "]"));
  for (const std::string& bad :
       {std::string("{}"), std::string("null"), std::string("[1]"), std::string("[[]]"),
        "[" + entry(R"("../a")", "1") + "]", "[" + entry(R"("/etc/passwd")", "1") + "]",
        "[" + entry(R"("a\u0000b")", "1") + "]", "[" + entry("7", "1") + "]",
        "[" + entry(R"("a")", "-1") + "]", "[" + entry(R"("a")", "1.5") + "]",
        "[" + entry(R"("a")", "1e300") + "]", "[" + entry(R"("a")", "99999999999999999999999999") + "]",
        "[" + entry(R"("a")", "9007199254740993") + "]", "[" + entry(R"("a")", "1", "short") + "]",
        "[" + entry(R"("a")", "1", std::string(64, 'Z')) + "]",
        std::string(R"([{"type":"file","path":"a","size":1}])"), std::string(100000, '['),
        std::string(R"([{"type":"file","path":"a","size":1,"lfs":{"oid":")") + kHash + R"(","size":2}}])"}) {
    const auto files = parse_listing(bad);
    ASSERT_FALSE(files) << bad.substr(0, 80);
    for (const char c : files.error().message) EXPECT_TRUE(c >= 0x20 && c < 0x7f);
  }
}

TEST(HubListing, EveryPrefix) {
  const std::string whole = "[" + entry(R"("a\"[{")", "1") + "," + entry(R"("b")", "2") + "]";
  ASSERT_TRUE(parse_listing(whole));
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_FALSE(parse_listing(whole.substr(0, n))) << n;
}

using Paths = std::vector<std::string>;

std::string joined(const ModelFiles& model) {
  std::string text;
  for (size_t i = 0; i < model.size(); ++i) text += (i > 0 ? "+" : "") + model[i];
  return text;
}

// The names of one model's files: "a+b|c" for models {a, b} and {c}; behind them the incomplete ones with
// what they lack: "|a!part 2 of 2 is missing".
std::string found(const Paths& paths, const std::string& what) {
  const FoundModels models = find_models(paths, what);
  std::string text;
  for (const ModelFiles& model : models.whole) text += (text.empty() ? "" : "|") + joined(model);
  for (const IncompleteModel& model : models.incomplete)
    text += (text.empty() ? "" : "|") + joined(model.files) + "!" + model.problem();
  return text;
}

const Paths kPublisher = {"README.md",
                          "gemma-4-E4B-it-BF16.gguf",
                          "gemma-4-E4B-it-F16.gguf",
                          "gemma-4-E4B-it-IQ4_XS.gguf",
                          "gemma-4-E4B-it-Q4_0.gguf",
                          "gemma-4-E4B-it-Q4_K_M.gguf",
                          "gemma-4-E4B-it-Q4_K_S.gguf",
                          "gemma-4-E4B-it-UD-Q4_K_XL.gguf",
                          "imatrix_unsloth.gguf",
                          "mmproj-BF16.gguf",
                          "mmproj-F16.gguf"};

TEST(HubChoose, QuantizationsInAnyCase) {
  EXPECT_EQ(found(kPublisher, "q4_0"), "gemma-4-E4B-it-Q4_0.gguf");
  EXPECT_EQ(found(kPublisher, "Q4_K_M"), "gemma-4-E4B-it-Q4_K_M.gguf");
  EXPECT_EQ(found(kPublisher, "q4_k_xl"), "gemma-4-E4B-it-UD-Q4_K_XL.gguf");
  EXPECT_EQ(found(kPublisher, "UD-Q4_K_XL"), "gemma-4-E4B-it-UD-Q4_K_XL.gguf");
  EXPECT_EQ(found(kPublisher, "BF16"), "gemma-4-E4B-it-BF16.gguf");
  EXPECT_EQ(found(kPublisher, "f16"), "gemma-4-E4B-it-F16.gguf");
  EXPECT_EQ(found(kPublisher, "Q4_K"), "");  // no such file: not one of its sizes at random
  EXPECT_EQ(found(kPublisher, "Q8_0"), "");
  EXPECT_EQ(found(Paths{"gemma-4-E2B_q4_0-it.gguf", "mmproj-gemma-4-E2B_q4_0-it.gguf"}, "Q4_0"),
            "gemma-4-E2B_q4_0-it.gguf");
  EXPECT_EQ(found(Paths{"a-Q4_0.gguf", "b-q4_0.gguf"}, "Q4_0"), "a-Q4_0.gguf|b-q4_0.gguf");
}

TEST(HubChoose, FilesByName) {
  EXPECT_EQ(found(kPublisher, "mmproj-F16.gguf"), "mmproj-F16.gguf");
  EXPECT_EQ(found(kPublisher, "MMPROJ-f16.GGUF"), "mmproj-F16.gguf");
  EXPECT_EQ(found(kPublisher, "mmproj-F16"), "mmproj-F16.gguf");
  EXPECT_EQ(found(kPublisher, "README.md"), "README.md");
  EXPECT_EQ(found(Paths{"x/a.gguf", "y/a.gguf"}, "a.gguf"), "x/a.gguf|y/a.gguf");
  EXPECT_EQ(found(Paths{"x/a.gguf", "y/a.gguf"}, "y/a.gguf"), "y/a.gguf");
}

TEST(HubChoose, Everything) {
  EXPECT_EQ(found({}, ""), "");
  EXPECT_EQ(found({}, "Q4_0"), "");
  EXPECT_EQ(found(Paths{"a.gguf", "mmproj.gguf", "b.safetensors"}, ""), "a.gguf");
  EXPECT_EQ(found(Paths{"a.gguf", "b.gguf"}, ""), "a.gguf|b.gguf");
}

TEST(HubChoose, SplitFiles) {
  const Paths parts = {"BF16/m-BF16-00002-of-00003.gguf", "BF16/m-BF16-00001-of-00003.gguf",
                       "BF16/m-BF16-00003-of-00003.gguf", "m-Q4_0.gguf"};
  const std::string all = parts[1] + "+" + parts[0] + "+" + parts[2];
  EXPECT_EQ(found(parts, "BF16"), all);
  EXPECT_EQ(found(parts, "m-BF16-00002-of-00003.gguf"), all);
  EXPECT_EQ(found(parts, ""), all + "|m-Q4_0.gguf");
  EXPECT_EQ(found(Paths{"m-00000-of-00003.gguf"}, ""), "m-00000-of-00003.gguf");
  EXPECT_EQ(found(Paths{"m-0001x-of-00003.gguf"}, ""), "m-0001x-of-00003.gguf");
  EXPECT_EQ(found(Paths{"m-00004-of-00003.gguf"}, ""), "m-00004-of-00003.gguf");
  EXPECT_EQ(found(Paths{"-00001-of-00001.gguf"}, ""), "-00001-of-00001.gguf");
}

TEST(HubChoose, IncompleteModelsStandBesideTheOthers) {
  const std::string one = "b/m-BF16-00001-of-00003.gguf", two = "b/m-BF16-00002-of-00003.gguf",
                    three = "b/m-BF16-00003-of-00003.gguf", other = "m-Q4_0.gguf";
  EXPECT_EQ(found(Paths{two, three, other}, ""), other + "|" + two + "+" + three + "!part 1 of 3 is missing");
  EXPECT_EQ(found(Paths{three, one}, "BF16"), one + "+" + three + "!part 2 of 3 is missing");
  EXPECT_EQ(found(Paths{one, two}, "BF16"), one + "+" + two + "!part 3 of 3 is missing");
  EXPECT_EQ(found(Paths{two, other}, two), two + "!2 of 3 parts are missing, the first is part 1");
  EXPECT_EQ(found(Paths{two, other}, "Q4_0"), other);
  // A server may say a name twice, and two numbers of parts are two models.
  EXPECT_EQ(found(Paths{one, one, two, three}, ""), one + "+" + two + "+" + three);
  EXPECT_EQ(found(Paths{"m-00001-of-00001.gguf", "m-00001-of-00002.gguf"}, ""),
            "m-00001-of-00001.gguf|m-00001-of-00002.gguf!part 2 of 2 is missing");
}

// A hundred thousand names out of order, which comparing each with each would take minutes for.
TEST(HubChoose, ManyParts) {
  constexpr int n_models = 5, n_parts = 20'000;
  Paths paths;
  for (int part = n_parts; part > 0; --part)
    for (int m = 0; m < n_models; ++m)
      paths.push_back(fmt::format("{}-BF16-{:05}-of-{:05}.gguf", m, part, n_parts));
  paths.pop_back();  // part 1 of the last model
  const FoundModels models = find_models(paths, "bf16");
  ASSERT_EQ(models.whole.size(), n_models - 1u);
  for (const ModelFiles& model : models.whole) {
    ASSERT_EQ(model.size(), size_t{n_parts});
    EXPECT_TRUE(std::is_sorted(model.begin(), model.end()));
  }
  ASSERT_EQ(models.incomplete.size(), 1u);
  EXPECT_EQ(models.incomplete.front().problem(), "part 1 of 20000 is missing");
  // As many models of one part each, all incomplete.
  Paths singles;
  for (int m = 0; m < n_parts; ++m) singles.push_back(fmt::format("{}-00001-of-00002.gguf", m));
  EXPECT_EQ(find_models(singles, "").incomplete.size(), size_t{n_parts});
}

}  // namespace
}  // namespace carat::hub
