// Allocation and /proc reading for base/memory.h.
#include "base/memory.h"

#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/check.h"

namespace carat {
namespace {

// From here on memory comes from the system as zero pages, one by one as they are touched.
constexpr size_t kMappedBytes = size_t{1} << 20;

struct ResidentSet {
  uint64_t all = 0, of_files = 0;  // bytes; shared memory counts as a file
};

ResidentSet resident_set() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return {};
  unsigned long long total = 0, resident = 0, shared = 0;
  const int fields = std::fscanf(file, "%llu %llu %llu", &total, &resident, &shared);
  std::fclose(file);
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  return fields == 3 ? ResidentSet{resident * page, shared * page} : ResidentSet{};
}

}  // namespace

size_t checked_bytes(size_t count, size_t size) {
  size_t n_bytes = 0;
  CHECK(!__builtin_mul_overflow(count, size, &n_bytes));
  CHECK(!__builtin_add_overflow(n_bytes, 2 * kCacheLine - 1, &n_bytes));
  return n_bytes / kCacheLine * kCacheLine;
}

void* aligned_zeroed(size_t n_bytes) {
  if (n_bytes >= kMappedBytes) {
    void* mapped = ::mmap(nullptr, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    return mapped;
  }
  void* pointer = std::aligned_alloc(kCacheLine, n_bytes);
  if (pointer == nullptr) throw std::bad_alloc();
  std::memset(pointer, 0, n_bytes);
  return pointer;
}

void aligned_free(void* pointer, size_t n_bytes) {
  if (n_bytes >= kMappedBytes) {
    CHECK(::munmap(pointer, n_bytes) == 0);
  } else {
    std::free(pointer);
  }
}

void release_freed_memory() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

uint64_t resident_bytes() { return resident_set().all; }

uint64_t anonymous_bytes() {
  const ResidentSet set = resident_set();
  return set.all - std::min(set.all, set.of_files);
}

uint64_t peak_resident_bytes() {
  struct rusage usage {};
  return ::getrusage(RUSAGE_SELF, &usage) == 0 ? static_cast<uint64_t>(usage.ru_maxrss) * 1024 : 0;
}

}  // namespace carat
