// The orthonormal Hadamard transform of 64 values, which is its own inverse: six rounds of sums and differences
// of values 1, 2, 4 … 32 apart, always in this order.
namespace carat {
namespace {

// Lane i and lane i ^ kApart become their sum (below) and their difference (above). Products with 1 and -1
// are exact, so this is one rounding with or without FMA.
template <int kApart>
inline Floats sum_and_difference(Floats v) {
  float signs[16];
  for (int i = 0; i < 16; ++i) signs[i] = (i & kApart) != 0 ? -1.0f : 1.0f;
  return fma(v, load(signs), swap_lanes<kApart>(v));
}

inline void mix_block(float* x) {
  Floats v[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    v[i] = sum_and_difference<2>(sum_and_difference<1>(load(x + 16 * i)));
    v[i] = sum_and_difference<8>(sum_and_difference<4>(v[i]));
  }
  const Floats a = add(v[0], v[1]), b = sub(v[0], v[1]), c = add(v[2], v[3]), d = sub(v[2], v[3]);
  const Floats scale = set1(0.125f);
  store(x, mul(add(a, c), scale));
  store(x + 16, mul(add(b, d), scale));
  store(x + 32, mul(sub(a, c), scale));
  store(x + 48, mul(sub(b, d), scale));
}

void mix(float* x, int64_t n) {
  for (int64_t i = 0; i < n; i += 64) mix_block(x + i);
}

}  // namespace
}  // namespace carat
