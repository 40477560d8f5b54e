// Allocation and /proc reading for base/memory.h.
#include "base/memory.h"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/check.h"

namespace carat {

void* aligned_zeroed(size_t bytes) {
  const size_t rounded = (bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
  CHECK(rounded >= bytes);
  // Whole vectors may be read past the end, never used: the slack keeps such reads inside the allocation.
  void* pointer = std::aligned_alloc(kCacheLine, rounded + kCacheLine);
  CHECK(pointer != nullptr);
  std::memset(pointer, 0, rounded + kCacheLine);
  return pointer;
}

void aligned_free(void* pointer) { std::free(pointer); }

void release_freed_memory() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

uint64_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  unsigned long long total = 0, resident = 0;
  const int fields = std::fscanf(file, "%llu %llu", &total, &resident);
  std::fclose(file);
  return fields == 2 ? resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

uint64_t peak_resident_bytes() {
  struct rusage usage {};
  return ::getrusage(RUSAGE_SELF, &usage) == 0 ? static_cast<uint64_t>(usage.ru_maxrss) * 1024 : 0;
}

}  // namespace carat
