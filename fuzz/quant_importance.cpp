// Any bytes that are an importance matrix, of either format, hold numbers that an encoder can be given, and
// survive being written and read again.
#include "quant/importance.h"

#include <cmath>
#include <cstdint>

#include "base/check.h"

using namespace carat;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto importance = parse_importance({reinterpret_cast<const std::byte*>(data), size}, "fuzz");
  if (!importance) {
    for (const char c : importance.error().message) CHECK(c != '\n');
    return 0;
  }
  CHECK(!importance->entries.empty());
  for (const auto& [name, entry] : importance->entries) {
    CHECK(!name.empty() && entry.n_columns > 0 && entry.n_matrices() > 0);
    CHECK(static_cast<int64_t>(entry.sums.size()) == entry.n_columns * entry.n_matrices());
    for (const float mean : entry.means()) CHECK(mean >= 0);
  }
  return 0;
}
