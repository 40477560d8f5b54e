// The source that has an end.
#include "eval/item_source.h"

#include <algorithm>

#include "base/random.h"

namespace carat {

SuiteSource::SuiteSource(Suite suite, uint64_t seed) : suite_(std::move(suite)) {
  Random random(mix64(seed ^ 0x6f72646572));
  random.shuffle(suite_.items);
}

Result<std::vector<SuiteItem>> SuiteSource::more(int64_t n) {
  const size_t end = next_ + static_cast<size_t>(std::min(std::max<int64_t>(n, 0), n_left()));
  std::vector<SuiteItem> items(suite_.items.begin() + static_cast<std::ptrdiff_t>(next_),
                               suite_.items.begin() + static_cast<std::ptrdiff_t>(end));
  next_ = end;
  return items;
}

}  // namespace carat
