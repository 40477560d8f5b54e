// The products of BF16 weights for machines with AVX-512 VNNI and BF16 (Zen 4, Cooper Lake, Sapphire Rapids and later). All
// other kernels are inherited from AVX-512 VNNI.
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/vec_avx512.h"

// clang-format off
#include "kernels/cpu/generic/lanes.inl"
#include "kernels/cpu/generic/float_products.inl"
// clang-format on

namespace carat {
namespace {

// Two bf16 in each lane, which one instruction multiplies and adds: nothing is widened.
struct Bf16Pairs : F32Words {
  CARAT_ALWAYS_INLINE static Floats add_product(Floats w, const float* x, Floats sum) {
    return add_pair_product(w, x, sum);
  }
};

// As peak_f32 does; each instruction adds 1/2 + 1/2 to every lane.
void peak_bf16(int64_t n_rounds, int64_t* n_multiply_adds, float* out) {
  constexpr int kTerms = 8;
  Floats total[kPeakParts];
  const uint16_t halves[2] = {0x3f00, 0x3f00}, ones[2] = {0x3f80, 0x3f80};
  const Floats w = bits_to_floats({broadcast4(halves)});
  for (int i = 0; i < kPeakParts; ++i) total[i] = set1(static_cast<float>(i));
  for (int64_t round = 0; round < n_rounds; ++round) {
#pragma GCC unroll 8
    for (int term = 0; term < kTerms; ++term) {
#pragma GCC unroll 16
      for (int i = 0; i < kPeakParts; ++i) total[i] = add_pair_product(w, ones, total[i]);
    }
  }
  for (int i = 1; i < kPeakParts; ++i) total[0] = add(total[0], total[i]);
  float lanes[16];
  store(lanes, total[0]);
  *n_multiply_adds = n_rounds * kPeakParts * kTerms * 32;
  *out = lanes[0];
}

}  // namespace

extern constinit const KernelTable kKernelsAvx512Bf16;
constinit const KernelTable kKernelsAvx512Bf16 = {
    .name = "avx512bf16",
    .peak_bf16 = peak_bf16,
    .products_bf16_pairs = float_products<Bf16Pairs>,
};
}  // namespace carat
