// carat perplexity: base files written and read, options that exclude each other, memory.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/refused.h"

namespace carat::cli {
namespace {

using Json = nlohmann::json;

struct Perplexity : testing::Test {
  Folder folder;
  std::string parent = folder / "parent.gguf", small = folder / "small.gguf", text = folder / "text.txt",
              base = folder / "base.kld";
  void SetUp() override {
    ASSERT_EQ(carat({"synth", parent, "--like", "e2b", "--layers", "5", "--width-divisor", "24", "--vocab", "600", "--type",
                     "BF16"})
                  .code,
              0);
    ASSERT_EQ(carat({"quantize", parent, small, "Q4_0"}).code, 0);
    std::string words;
    for (int i = 0; i < 400; ++i) words += "word " + std::to_string(i * i) + (i % 9 == 0 ? ".\n" : " ");
    overwrite(text, words);
  }
};

TEST_F(Perplexity, ABaseFileTellsWhatTheParentTells) {
  const auto beside = carat({"perplexity", small, "--parent", parent, "-f", text, "-c", "64", "--chunks", "3", "--exact", "--json"});
  ASSERT_EQ(beside.code, 0) << beside.err;
  ASSERT_EQ(carat({"perplexity", parent, "-f", text, "-c", "64", "--chunks", "3", "--exact", "--write-base", base}).code, 0);
  EXPECT_EQ(std::filesystem::file_size(base), 8u + 12 + 4 * 3 * 64 + 3 * 31 * 2 * (600 + 4));
  const auto read = carat({"perplexity", small, "--base", base, "--exact", "--json"});
  ASSERT_EQ(read.code, 0) << read.err;
  const Json a = Json::parse(beside.out), b = Json::parse(read.out);
  EXPECT_EQ(a["perplexity"], b["perplexity"]);
  EXPECT_EQ(a["n_tokens"], b["n_tokens"]);
}

TEST_F(Perplexity, WhatExcludesEachOtherIsRefused) {
  expect_refused(carat({"perplexity", small}), "expected a text");
  expect_refused(carat({"perplexity", small, "--base", text}), "no divergence base");
  expect_refused(carat({"perplexity", small, "--base", base, "-f", text}), "--text");
  expect_refused(carat({"perplexity", small, "-f", text, "--write-base", small}), "small.gguf");
  expect_refused(carat({"perplexity", small, "-f", text, "--parent", parent, "--write-base", base}), "--parent");
  expect_refused(carat({"perplexity", small, "-f", text, "-c", "64", "--memory", "much"}), "--memory");
  expect_refused(carat({"perplexity", small, "-f", text, "-c", "64", "--memory", "1M"}), "expected at least");
}

}  // namespace
}  // namespace carat::cli
