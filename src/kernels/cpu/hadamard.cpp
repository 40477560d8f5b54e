// Six rounds of sums and differences. Four lanes at a time, spelled so that every compiler takes a register.
#include "kernels/cpu/hadamard.h"

#include <cstring>

namespace carat {
namespace {

typedef float Four __attribute__((vector_size(16)));
typedef int32_t FourInts __attribute__((vector_size(16)));

#if defined(__clang__)
#define CARAT_SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define CARAT_SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, FourInts{i, j, k, l})
#endif

// The two rounds inside a register: neighbours, then pairs.
inline Four mix_lanes(Four v) {
  const Four signs1 = {1, -1, 1, -1}, signs2 = {1, 1, -1, -1};
  v = CARAT_SHUFFLE(v, v, 0, 0, 2, 2) + CARAT_SHUFFLE(v, v, 1, 1, 3, 3) * signs1;
  return CARAT_SHUFFLE(v, v, 0, 1, 0, 1) + CARAT_SHUFFLE(v, v, 2, 3, 2, 3) * signs2;
}

void mix_block(float* x) {
  constexpr int kRegisters = static_cast<int>(kMixed) / 4;
  Four v[kRegisters];
  std::memcpy(v, x, sizeof v);
  for (int i = 0; i < kRegisters; ++i) v[i] = mix_lanes(v[i]);
  for (int half = 1; half < kRegisters; half *= 2)
    for (int i = 0; i < kRegisters; i += 2 * half)
      for (int j = i; j < i + half; ++j) {
        const Four a = v[j], b = v[j + half];
        v[j] = a + b, v[j + half] = a - b;
      }
  for (Four& four : v) four *= 0.125f;
  std::memcpy(x, v, sizeof v);
}

#undef CARAT_SHUFFLE

}  // namespace

void mix(float* x, int64_t n) {
  for (int64_t i = 0; i < n; i += kMixed) mix_block(x + i);
}

}  // namespace carat
