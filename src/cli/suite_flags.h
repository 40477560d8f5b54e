// What a judgement asks: the suite's flags, and the items that they stand for.
#pragma once

#include <memory>
#include <string>

#include "cli/common.h"
#include "eval/compare.h"
#include "eval/item_source.h"
#include "eval/suite.h"

namespace carat::cli {

struct SuiteFlags {
  std::string suite;   // "builtin", "lab", a file, or empty: what fits the files
  int n_per_kind = 0;  // 0: the suite's own number
  uint64_t seed = 1;
  int64_t longest = 16384;
  bool until_decided = false;
  int64_t max_items = 0;      // 0: not stated
  double budget_minutes = 0;  // 0: not stated

  void add_to(CLI::App& app);
  // Combinations of which a part would have no effect.
  Result<void> check(const CLI::App& app) const;

  // The file that is read; empty: none.
  std::string path() const { return suite == "lab" || suite == "builtin" ? "" : suite; }
  // What run_until_decided() is given.
  SequentialOptions sequential() const;

  // For models of which the first tokenizes for all.
  Result<Suite> open(const std::vector<CompareFile>& files) const;
  Result<std::unique_ptr<ItemSource>> open_source(const std::vector<CompareFile>& files) const;
  // The lab's, for the lab family: `usual` documents per kind unless the flags say.
  Suite open_lab(const Tokenizer& tokenizer, int usual) const;
  std::unique_ptr<ItemSource> open_lab_source(const Tokenizer& tokenizer) const;

 private:
  Result<std::string> choose(const std::vector<CompareFile>& files) const;
};

}  // namespace carat::cli
