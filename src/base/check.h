// CHECK: an assertion that stays on in release builds, for faults that are ours. It prints one line and
// aborts; anything that a file, a user or a disk can cause is a Result instead (base/result.h).
#pragma once

namespace carat {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}

#define CHECK(condition) \
  (__builtin_expect(!(condition), 0) ? ::carat::check_failed(#condition, __FILE__, __LINE__) : (void)0)
