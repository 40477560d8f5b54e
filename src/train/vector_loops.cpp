// Chooses the vector loops for this machine.
#include "train/vector_loops.h"

#include <cstdlib>
#include <string_view>

#include "base/check.h"

namespace carat::train {

extern const VectorLoops k_generic_loops;
#if defined(__x86_64__)
extern const VectorLoops k_avx2_loops, k_avx512_loops;
#endif

int n_vector_loops() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2")) return 1;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
  return avx512 ? 3 : 2;
#else
  return 1;
#endif
}

const VectorLoops& vector_loops_at(int i) {
  CHECK(i >= 0 && i < n_vector_loops());
#if defined(__x86_64__)
  if (i == 1) return k_avx2_loops;
  if (i == 2) return k_avx512_loops;
#endif
  return k_generic_loops;
}

const VectorLoops& vector_loops() {
  static const VectorLoops& chosen = [&]() -> const VectorLoops& {
    int best = n_vector_loops() - 1;
    const char* forced = std::getenv("CARAT_ISA");  // the kernels report unknown names
    if (forced != nullptr && std::string_view(forced) == "scalar") best = 0;
    if (forced != nullptr && std::string_view(forced) == "avx2" && best > 1) best = 1;
    return vector_loops_at(best);
  }();
  return chosen;
}

}  // namespace carat::train
