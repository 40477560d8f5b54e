// ItemSource: where a judgement's items come from, a few at a time and in an order that never depends on how
// many are taken: so that a judgement can go on until it is decided.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "eval/suite.h"

namespace carat {

class ItemSource {
 public:
  virtual ~ItemSource() = default;

  // For people: what is asked, and everything that the items depend on.
  virtual std::string name() const = 0;
  // Whole rounds (one item of every category, or as the source has it) until there are at least n further
  // items. None: there are no more.
  virtual Result<std::vector<SuiteItem>> more(int64_t n) = 0;
  // Items that are still there; kEndless: as many as anybody wants.
  virtual int64_t n_left() const = 0;

  static constexpr int64_t kEndless = INT64_MAX;
};

// The items of a suite, in an order drawn with the seed: a file's lines may be sorted.
class SuiteSource : public ItemSource {
 public:
  SuiteSource(Suite suite, uint64_t seed);

  std::string name() const override { return suite_.name; }
  Result<std::vector<SuiteItem>> more(int64_t n) override;
  int64_t n_left() const override { return static_cast<int64_t>(suite_.items.size() - next_); }

 private:
  Suite suite_;
  size_t next_ = 0;
};

}  // namespace carat
