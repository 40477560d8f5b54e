// How fast this ISA multiplies and adds at best: its own words on values that stay in registers, in enough
// independent sums to hide their latency. What is left out (loads, unpacking, scales) is what a kernel can
// only hope to hide.
namespace carat {
namespace {

// Products of 4-bit codes with 8-bit activations, the cheapest: per register of products
//  - VNNI: one vpdpbusd;
//  - AVX2: vpmaddubsw and vpaddw, and a vpmaddwd with a vpaddd for every eight of them. Signed bytes need their signs
//    moved and more widening, too: they stay below by nature;
//  - scalar: what the compiler makes of the baseline's vectors.
void peak_int8(int64_t n_rounds, int64_t* n_multiply_adds, float* out) {
  constexpr int kGroups = 8;
  Bytes w = set1_byte(3);
  PeakSums dots[kPeakBytes];
  for (int i = 0; i < kPeakBytes; ++i) dots[i].sums = set1_int(i);
  for (int64_t round = 0; round < n_rounds; ++round) {
#pragma GCC unroll 8
    for (int g = 0; g < kGroups; ++g) {
      make_unknown(w);
#pragma GCC unroll 16
      for (int i = 0; i < kPeakBytes; ++i) dots[i].add(w, 0x01020301);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kPeakBytes; ++i) dots[i].widen();
  }
  Floats all = zero();  // together they may be more than 32 bits
  for (int i = 0; i < kPeakBytes; ++i) all = add(all, to_floats(dots[i].sums));
  *n_multiply_adds = n_rounds * kPeakBytes * kGroups * 64;
  *out = sum(all);
}

// The fma of floats; scalar: a multiplication and an addition.
void peak_f32(int64_t n_rounds, int64_t* n_multiply_adds, float* out) {
  constexpr int kTerms = 8;
  Part total[kPeakParts];
  Part w = part_set1(0.5f), x = part_set1(0.25f);
  for (int i = 0; i < kPeakParts; ++i) total[i] = part_set1(static_cast<float>(i));
  for (int64_t round = 0; round < n_rounds; ++round) {
#pragma GCC unroll 8
    for (int term = 0; term < kTerms; ++term) {
#pragma GCC unroll 16
      for (int i = 0; i < kPeakParts; ++i) total[i] = part_fma(total[i], w, x);  // stays near 0.5
    }
  }
  for (int i = 1; i < kPeakParts; ++i) total[0] = part_fma(total[i], w, total[0]);
  float lanes[16];
  part_store(lanes, total[0]);
  *n_multiply_adds = n_rounds * kPeakParts * kTerms * kPartLanes;
  *out = lanes[0];
}

}  // namespace
}  // namespace carat
