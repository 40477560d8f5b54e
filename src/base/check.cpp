// The cold half of CHECK.
#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace carat {

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "carat: internal error: CHECK(%s) failed at %s:%d\n", condition, file, line);
  std::abort();
}

}  // namespace carat
