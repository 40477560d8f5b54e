// roof [THREADS]: what this machine can do at best, for 1 … THREADS threads (default: all CPUs). CARAT_ISA
// chooses the instructions. Close other programs first: the figures are the best of short passes, but not
// better than what is left.
#include "engine/roof.h"

#include <charconv>
#include <cstdio>
#include <cstring>
#include <vector>

#include "report/roof_table.h"

int main(int argc, char** argv) {
  using namespace carat;
  int n_threads = default_thread_count();
  if (argc > 1) {
    const char* end = argv[1] + std::strlen(argv[1]);
    const auto [last, error] = std::from_chars(argv[1], end, n_threads);
    if (error != std::errc{} || last != end || n_threads < 1 || n_threads > 1024 || argc > 2) {
      std::fputs("usage: roof [THREADS], 1 to 1024\n", stderr);
      return 2;
    }
  }
  std::vector<Roof> roofs;
  for (int n = 1; n <= n_threads; ++n) {
    ThreadPool pool(n);
    const auto roof = measure_roof(pool);
    if (!roof) {
      std::fprintf(stderr, "roof: %s\n", roof.error().message.c_str());
      return 2;
    }
    roofs.push_back(*roof);
  }
  std::fputs(roof_table(roofs, {}).c_str(), stdout);
  return 0;
}
