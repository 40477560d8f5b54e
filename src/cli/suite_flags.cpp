// The three suites behind one set of flags.
#include "cli/suite_flags.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/lab_family.h"
#include "eval/suite_file.h"
#include "eval/suites/builtin.h"

namespace carat::cli {
namespace {

constexpr const char* kLab = "lab";
constexpr const char* kBuiltin = "builtin";
constexpr int kBuiltinRounds = 24;
constexpr int64_t kMostItems = 10000;  // of a sequential judgement without a limit of its own

// Documents of the lab language, round by round; drawn in blocks, each with a seed of its own.
class LabSource : public ItemSource {
 public:
  LabSource(const Tokenizer& tokenizer, uint64_t seed) : tokenizer_(tokenizer), seed_(seed) {}

  std::string name() const override { return fmt::format("lab language, seed {}", seed_); }
  int64_t n_left() const override { return kEndless; }

  Result<std::vector<SuiteItem>> more(int64_t n) override {
    const auto n_kinds = static_cast<int64_t>(lab::kinds().size());
    const int64_t n_rounds = (n + n_kinds - 1) / n_kinds;
    std::vector<SuiteItem> items;
    for (int64_t round = 0; round < n_rounds; ++round) {
      if (next_ == kPerBlock || block_.empty()) draw_block();
      // A block holds kind after kind.
      for (int64_t kind = 0; kind < n_kinds; ++kind)
        items.push_back(std::move(block_[static_cast<size_t>(kind * kPerBlock + next_)]));
      ++next_;
    }
    return items;
  }

 private:
  static constexpr int kPerBlock = 16;

  void draw_block() {
    block_ = lab_suite(tokenizer_, mix64(seed_) + n_blocks_++, kPerBlock).items;
    next_ = 0;
  }

  Tokenizer tokenizer_;
  uint64_t seed_;
  std::vector<SuiteItem> block_;
  uint64_t n_blocks_ = 0;
  int next_ = 0;
};

}  // namespace

void SuiteFlags::add_to(CLI::App& app) {
  const char* group = "What is asked";
  app.add_option("--suite", suite,
                 "builtin (chat, code, maths, tools, science, six languages, recall, long documents); lab, "
                 "for models of the lab language; "
                 "or a file of JSON lines (default: lab or builtin, whichever fits the files)")
      ->group(group);
  app.add_option("--per-kind", n_per_kind, "items per category (default 24; of the lab 250, for lab-m 60)")
      ->check(CLI::Range(2, 1 << 20))
      ->group(group);
  app.add_option("--suite-seed", seed, "which items are drawn (default 1)")->group(group);
  app.add_option("--longest", longest,
                 "tokens of the built-in suite's longest documents, 0 for none (default 16384)")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20))
      ->group(group);
  app.add_flag("--until-decided", until_decided,
               "ask more and more until every word is said or the budget ends")
      ->group(group);
  app.add_option("--max-items", max_items,
                 fmt::format("with --until-decided: about as many items at most (default {})", kMostItems))
      ->check(CLI::Range(int64_t{20}, int64_t{1} << 24))
      ->group(group);
  app.add_option("--budget-minutes", budget_minutes, "with --until-decided: as much time at most")
      ->check(number_between(1e-3, 1e6))
      ->group(group);
}

Result<void> SuiteFlags::check(const CLI::App& app) const {
  if (app.get_option("--suite")->count() > 0 && suite.empty()) return fail("--suite: is empty");
  if (!path().empty())
    TRY(refuse(app, {"--per-kind", "--longest"},
               "is about suites that are generated; this one is a file, all of which is asked"));
  if (!path().empty() && !until_decided)
    TRY(refuse(app, {"--suite-seed"},
               "draws items or their order; all of this file is asked, in its own order"));
  if (suite == kLab) TRY(refuse(app, {"--longest"}, "is about the built-in suite"));
  if (until_decided)
    TRY(refuse(app, {"--per-kind"},
               "is the size of a suite, and --until-decided decides that by itself: give --max-items"));
  else
    TRY(refuse(app, {"--max-items", "--budget-minutes"}, "limits --until-decided, which is not given"));
  return {};
}

SequentialOptions SuiteFlags::sequential() const {
  SequentialOptions options{max_items, 60 * budget_minutes};
  if (options.max_items == 0 && options.budget_seconds == 0) options.max_items = kMostItems;
  return options;
}

Result<std::string> SuiteFlags::choose(const std::vector<CompareFile>& files) const {
  if (suite.empty()) return std::string(check_speaks_lab(*files.front().model) ? kLab : kBuiltin);
  if (suite == kLab)
    for (const CompareFile& file : files) TRY(check_speaks_lab(*file.model));
  return suite;
}

Suite SuiteFlags::open_lab(const Tokenizer& tokenizer, int usual) const {
  return lab_suite(tokenizer, lab::kTestSeed + seed - 1, n_per_kind > 0 ? n_per_kind : usual);
}

std::unique_ptr<ItemSource> SuiteFlags::open_lab_source(const Tokenizer& tokenizer) const {
  return std::make_unique<LabSource>(tokenizer, lab::kTestSeed + seed - 1);
}

Result<Suite> SuiteFlags::open(const std::vector<CompareFile>& files) const {
  const Model& first = *files.front().model;
  const std::string chosen = TRY(choose(files));
  if (chosen == kLab) return open_lab(first.tokenizer, lab::kTestDocumentsPerKind);
  if (chosen != kBuiltin) return read_suite(chosen, first.tokenizer, first.config);
  return builtin_suite({seed, longest}, n_per_kind > 0 ? n_per_kind : kBuiltinRounds, first.tokenizer,
                       first.config);
}

Result<std::unique_ptr<ItemSource>> SuiteFlags::open_source(const std::vector<CompareFile>& files) const {
  const Model& first = *files.front().model;
  const std::string chosen = TRY(choose(files));
  if (chosen == kLab) return open_lab_source(first.tokenizer);
  if (chosen == kBuiltin)
    return std::unique_ptr<ItemSource>(
        TRY(BuiltinSource::create({seed, longest}, first.tokenizer, first.config)));
  return std::unique_ptr<ItemSource>(
      std::make_unique<SuiteSource>(TRY(read_suite(chosen, first.tokenizer, first.config)), seed));
}

}  // namespace carat::cli
