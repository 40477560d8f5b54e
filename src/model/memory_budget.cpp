// Saturating arithmetic, and what sysconf says.
#include "model/memory_budget.h"

#include <unistd.h>

#include <algorithm>

#include "base/check.h"
#include "base/machine.h"

namespace carat {

int64_t saturating_multiply(int64_t a, int64_t b) {
  CHECK(a >= 0 && b >= 0);
  int64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

int64_t saturating_add(int64_t a, int64_t b) {
  CHECK(a >= 0 && b >= 0);
  int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

int64_t physical_memory_bytes() {
  const long n_pages = ::sysconf(_SC_PHYS_PAGES), page = ::sysconf(_SC_PAGESIZE);
  return n_pages > 0 && page > 0 ? saturating_multiply(n_pages, page) : INT64_MAX;
}

int64_t usable_memory_bytes() { return std::min(physical_memory_bytes(), memory_limit_bytes()); }

Result<void> check_memory(int64_t n_bytes, std::string_view what) {
  const int64_t memory = usable_memory_bytes();
  if (n_bytes <= memory) return {};
  const auto gib = [](int64_t n) {
    const double size = static_cast<double>(n) / (1 << 30);
    return fmt::format("{:.{}f} GiB", size, size < 10 ? 2 : 1);
  };
  return fail("{} takes {}, but this process may use {} of memory", what, gib(n_bytes), gib(memory));
}

}  // namespace carat
