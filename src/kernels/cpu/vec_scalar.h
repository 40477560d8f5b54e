// The SIMD vocabulary in plain C++: sixteen lanes as arrays, which the compiler maps to whatever the baseline
// has. It defines the meaning of every word; vec_avx2.h and vec_avx512.h spell the same words. The one
// difference is fma(), which rounds twice here: a machine without FMA would have to emulate it.
#pragma once

#include <stdint.h>
#include <string.h>

namespace carat {
namespace {

// Tile shapes: how many results the registers hold at once. They never change a result.
constexpr int kTileRows = 4, kTileTokens = 2;      // float dots
constexpr int kTileQueries = 4, kTileVectors = 2;  // weighted sums, in parts
constexpr int kTileInt8 = 2;                       // tokens of an int8 panel
constexpr int kTileFloat = 2;                      // tokens of a panel of floats

struct Floats {
  float lane[16];
};
struct Ints {
  int32_t lane[16];
};
struct Bytes {
  uint8_t lane[64];
};

#define CARAT_LANES for (int i = 0; i < 16; ++i)

// ---- floats

inline Floats zero() { return Floats{}; }
inline Floats set1(float x) {
  Floats r;
  CARAT_LANES r.lane[i] = x;
  return r;
}
inline Floats load(const float* p) {
  Floats r;
  memcpy(r.lane, p, sizeof r.lane);
  return r;
}
// The first n < 16 lanes, the others zero.
inline Floats load_part(const float* p, int64_t n) {
  Floats r = zero();
  for (int64_t i = 0; i < n; ++i) r.lane[i] = p[i];
  return r;
}
inline void store(float* p, Floats v) { memcpy(p, v.lane, sizeof v.lane); }
inline void store_part(float* p, Floats v, int64_t n) {
  for (int64_t i = 0; i < n; ++i) p[i] = v.lane[i];
}
inline Floats add(Floats a, Floats b) {
  CARAT_LANES a.lane[i] += b.lane[i];
  return a;
}
inline Floats sub(Floats a, Floats b) {
  CARAT_LANES a.lane[i] -= b.lane[i];
  return a;
}
inline Floats mul(Floats a, Floats b) {
  CARAT_LANES a.lane[i] *= b.lane[i];
  return a;
}
inline Floats div(Floats a, Floats b) {
  CARAT_LANES a.lane[i] /= b.lane[i];
  return a;
}
// a * b + c
inline Floats fma(Floats a, Floats b, Floats c) {
  CARAT_LANES c.lane[i] = a.lane[i] * b.lane[i] + c.lane[i];
  return c;
}
// c - a * b
inline Floats fnma(Floats a, Floats b, Floats c) {
  CARAT_LANES c.lane[i] = c.lane[i] - a.lane[i] * b.lane[i];
  return c;
}
// The second operand where the comparison fails: a NaN in b stays.
inline Floats max(Floats a, Floats b) {
  CARAT_LANES a.lane[i] = a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i];
  return a;
}
inline Floats min(Floats a, Floats b) {
  CARAT_LANES a.lane[i] = a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i];
  return a;
}
inline Floats abs(Floats a) {
  CARAT_LANES a.lane[i] = __builtin_fabsf(a.lane[i]);
  return a;
}
// Lane by lane: a < b ? yes : no
inline Floats select_less(Floats a, Floats b, Floats yes, Floats no) {
  CARAT_LANES yes.lane[i] = a.lane[i] < b.lane[i] ? yes.lane[i] : no.lane[i];
  return yes;
}
// magnitude with the sign bit of `sign`; magnitude >= 0
inline Floats with_sign(Floats magnitude, Floats sign) {
  CARAT_LANES magnitude.lane[i] = __builtin_copysignf(magnitude.lane[i], sign.lane[i]);
  return magnitude;
}
// Lane i gets lane i ^ kApart: 1, 2, 4 or 8.
template <int kApart>
inline Floats swap_lanes(Floats v) {
  Floats r;
  CARAT_LANES r.lane[i] = v.lane[i ^ kApart];
  return r;
}
inline float square_root(float x) { return __builtin_sqrtf(x); }

// Lane i meets lane i+8, then i+4, i+2, i+1: the one tree of every ISA.
inline float sum(Floats v) {
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) v.lane[i] += v.lane[i + width];
  return v.lane[0];
}
inline void sum4(Floats a, Floats b, Floats c, Floats d, float* out) {
  out[0] = sum(a), out[1] = sum(b), out[2] = sum(c), out[3] = sum(d);
}
inline float max_lane(Floats v) {
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) v.lane[i] = v.lane[i] > v.lane[i + width] ? v.lane[i] : v.lane[i + width];
  return v.lane[0];
}

// ---- 16-bit floats

inline float f16_lane(uint16_t h) {
  const uint32_t sign = (h & 0x8000u) << 16, exponent = h >> 10 & 31u, mantissa = h & 1023u;
  if (exponent == 31) return __builtin_bit_cast(float, sign | 0x7f800000u | mantissa << 13);
  if (exponent != 0) return __builtin_bit_cast(float, sign | (exponent + 112) << 23 | mantissa << 13);
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
  return sign != 0 ? -magnitude : magnitude;
}
inline uint16_t to_f16_lane(float x) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, x);
  const uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {
    // Adding 1/2 makes the last place of the sum 2^-24, which is the subnormals' unit: the addition rounds.
    const float rounded = __builtin_bit_cast(float, magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (__builtin_bit_cast(uint32_t, rounded) - 0x3f000000u));
  }
  const uint32_t rebased = magnitude - 0x38000000u;
  return static_cast<uint16_t>(sign | ((rebased + 0xfffu + (rebased >> 13 & 1u)) >> 13));
}
inline uint16_t to_bf16_lane(float x) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}
inline Floats load_f16_part(const uint16_t* p, int64_t n) {
  Floats r = zero();
  for (int64_t i = 0; i < n; ++i) r.lane[i] = f16_lane(p[i]);
  return r;
}
inline Floats load_f16(const uint16_t* p) { return load_f16_part(p, 16); }
inline Floats load_bf16_part(const uint16_t* p, int64_t n) {
  Floats r = zero();
  for (int64_t i = 0; i < n; ++i) r.lane[i] = __builtin_bit_cast(float, uint32_t{p[i]} << 16);
  return r;
}
inline Floats load_bf16(const uint16_t* p) { return load_bf16_part(p, 16); }
// All lanes: the f16 number in two bytes.
inline Floats set1_f16(const uint8_t* p) { return set1(f16_lane(static_cast<uint16_t>(p[0] | p[1] << 8))); }
// Round to nearest even.
inline void store_f16_part(uint16_t* p, Floats v, int64_t n) {
  for (int64_t i = 0; i < n; ++i) p[i] = to_f16_lane(v.lane[i]);
}
inline void store_bf16_part(uint16_t* p, Floats v, int64_t n) {
  for (int64_t i = 0; i < n; ++i) p[i] = to_bf16_lane(v.lane[i]);
}

// ---- parts: the kParts registers that sixteen lanes take here, for loops that keep many sums in registers

constexpr int kParts = 4, kPartLanes = 16 / kParts;
typedef float Part __attribute__((vector_size(16)));

inline Part part_zero() { return Part{}; }
inline Part part_set1(float x) { return Part{x, x, x, x}; }
inline Part part_load(const float* p) {
  Part r;
  memcpy(&r, p, sizeof r);
  return r;
}
inline void part_store(float* p, Part v) { memcpy(p, &v, sizeof v); }
inline Part part_load_f16(const uint16_t* p) {
  return Part{f16_lane(p[0]), f16_lane(p[1]), f16_lane(p[2]), f16_lane(p[3])};
}
inline Part part_load_bf16(const uint16_t* p) {
  const auto lane = [](uint16_t b) { return __builtin_bit_cast(float, uint32_t{b} << 16); };
  return Part{lane(p[0]), lane(p[1]), lane(p[2]), lane(p[3])};
}
inline Part part_fma(Part a, Part b, Part c) { return a * b + c; }
inline Part part_of(Floats v, int i) { return part_load(v.lane + kPartLanes * i); }
// Sixteen lanes again, of parts that lie `stride` parts apart.
inline Floats from_parts(const Part* p, int64_t stride) {
  Floats r;
  for (int i = 0; i < kParts; ++i) part_store(r.lane + kPartLanes * i, p[i * stride]);
  return r;
}

// ---- 32-bit integers

inline Ints set1_int(int32_t x) {
  Ints r;
  CARAT_LANES r.lane[i] = x;
  return r;
}
inline Ints load_ints(const int32_t* p) {
  Ints r;
  memcpy(r.lane, p, sizeof r.lane);
  return r;
}
// Sixteen bytes, widened without and with sign.
inline Ints load_u8(const uint8_t* p) {
  Ints r;
  CARAT_LANES r.lane[i] = p[i];
  return r;
}
inline Ints load_s8(const uint8_t* p) {
  Ints r;
  CARAT_LANES r.lane[i] = static_cast<int8_t>(p[i]);
  return r;
}
inline Ints add(Ints a, Ints b) {
  CARAT_LANES a.lane[i] += b.lane[i];
  return a;
}
inline Ints sub(Ints a, Ints b) {
  CARAT_LANES a.lane[i] -= b.lane[i];
  return a;
}
inline Ints mul(Ints a, Ints b) {
  CARAT_LANES a.lane[i] =
      static_cast<int32_t>(static_cast<uint32_t>(a.lane[i]) * static_cast<uint32_t>(b.lane[i]));
  return a;
}
inline Ints bit_and(Ints a, Ints b) {
  CARAT_LANES a.lane[i] &= b.lane[i];
  return a;
}
inline Ints bit_or(Ints a, Ints b) {
  CARAT_LANES a.lane[i] |= b.lane[i];
  return a;
}
inline Ints min(Ints a, Ints b) {
  CARAT_LANES a.lane[i] = a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i];
  return a;
}
inline Ints max(Ints a, Ints b) {
  CARAT_LANES a.lane[i] = a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i];
  return a;
}
template <int n>
inline Ints shift_left(Ints a) {
  CARAT_LANES a.lane[i] = static_cast<int32_t>(static_cast<uint32_t>(a.lane[i]) << n);
  return a;
}
// Zeros come in.
template <int n>
inline Ints shift_right(Ints a) {
  CARAT_LANES a.lane[i] = static_cast<int32_t>(static_cast<uint32_t>(a.lane[i]) >> n);
  return a;
}
// Copies of the sign come in.
template <int n>
inline Ints shift_right_signed(Ints a) {
  CARAT_LANES a.lane[i] = a.lane[i] >> n;
  return a;
}
// a where a != b, else 0
inline Ints zero_if_equal(Ints a, Ints b, Ints value) {
  CARAT_LANES value.lane[i] = a.lane[i] == b.lane[i] ? 0 : value.lane[i];
  return value;
}
inline int32_t sum(Ints v) {
  int32_t total = 0;
  CARAT_LANES total += v.lane[i];
  return total;
}
inline Floats to_floats(Ints a) {
  Floats r;
  CARAT_LANES r.lane[i] = static_cast<float>(a.lane[i]);
  return r;
}
// To the nearest integer, ties to even. |x| < 2^22; anything for others.
inline Ints round_to_ints(Floats a) {
  Ints r;
  CARAT_LANES {
    float x = a.lane[i] > -4194303.0f ? a.lane[i] : -4194303.0f;
    x = x < 4194303.0f ? x : 4194303.0f;
    r.lane[i] = static_cast<int32_t>((x + 12582912.0f) - 12582912.0f);
  }
  return r;
}
inline Floats bits_to_floats(Ints a) { return __builtin_bit_cast(Floats, a); }
inline Ints floats_to_bits(Floats a) { return __builtin_bit_cast(Ints, a); }
// Each lane cut to -128 … 127.
inline void store_s8(int8_t* p, Ints v) {
  CARAT_LANES p[i] = static_cast<int8_t>(v.lane[i] < -128 ? -128 : v.lane[i] > 127 ? 127 : v.lane[i]);
}
// The low 16 bits of each lane as f16.
inline Floats f16_lanes(Ints a) {
  Floats r;
  CARAT_LANES r.lane[i] = f16_lane(static_cast<uint16_t>(a.lane[i]));
  return r;
}
// The low and the high 16 bits of each lane as f16.
inline void f16_pairs(Ints a, Floats& low, Floats& high) {
  low = f16_lanes(a);
  high = f16_lanes(shift_right<16>(a));
}

// ---- 64 bytes: four consecutive values of each of sixteen rows

#define CARAT_BYTES for (int i = 0; i < 64; ++i)

inline Bytes load_bytes(const uint8_t* p) {
  Bytes r;
  memcpy(r.lane, p, sizeof r.lane);
  return r;
}
inline void store(uint8_t* p, Bytes v) { memcpy(p, v.lane, sizeof v.lane); }
inline Bytes set1_byte(uint8_t x) {
  Bytes r;
  CARAT_BYTES r.lane[i] = x;
  return r;
}
inline Bytes bit_and(Bytes a, Bytes b) {
  CARAT_BYTES a.lane[i] &= b.lane[i];
  return a;
}
inline Bytes bit_or(Bytes a, Bytes b) {
  CARAT_BYTES a.lane[i] |= b.lane[i];
  return a;
}
inline Bytes bit_xor(Bytes a, Bytes b) {
  CARAT_BYTES a.lane[i] ^= b.lane[i];
  return a;
}
// Each byte by itself, zeros come in.
template <int n>
inline Bytes shift_right(Bytes a) {
  CARAT_BYTES a.lane[i] = static_cast<uint8_t>(a.lane[i] >> n);
  return a;
}
template <int n>
inline Bytes shift_left(Bytes a) {
  CARAT_BYTES a.lane[i] = static_cast<uint8_t>(a.lane[i] << n);
  return a;
}
// table[a] for indices 0 … 15
inline Bytes lookup(const uint8_t* table, Bytes a) {
  CARAT_BYTES a.lane[i] = table[a.lane[i] & 15];
  return a;
}
inline Ints as_ints(Bytes a) { return __builtin_bit_cast(Ints, a); }
inline Bytes as_bytes(Ints a) { return __builtin_bit_cast(Bytes, a); }

// Lane r gets the four bytes at p + r * stride.
inline Ints gather4(const uint8_t* p, int64_t stride) {
  Ints r;
  CARAT_LANES memcpy(&r.lane[i], p + i * stride, 4);
  return r;
}
// Sixteen bytes at p + r * stride for each row r: out[c] holds bytes 4c … 4c+3 of all rows.
inline void transpose16(const uint8_t* p, int64_t stride, Bytes* out) {
  for (int c = 0; c < 4; ++c) CARAT_LANES memcpy(out[c].lane + 4 * i, p + i * stride + 4 * c, 4);
}

// Byte 4 lane + j gets `value` where bit 4 c + j of the lane is set, else 0.
template <int c>
inline Bytes bit_bytes(Ints words, uint8_t value) {
  Bytes r;
  CARAT_BYTES r.lane[i] = (words.lane[i / 4] >> (4 * c + i % 4) & 1) != 0 ? value : 0;
  return r;
}

// A half of each row, stride bytes apart.
inline Floats gather_f16(const uint8_t* p, int64_t stride) {
  uint16_t halves[16];
  for (int i = 0; i < 16; ++i) memcpy(halves + i, p + i * stride, 2);
  return load_f16(halves);
}

// ---- products of bytes

// The sum of (w - kOffset) x over 4 kGroups values: each add() brings four, byte 4 r + j of w (at most kMaxQ) for lane r
// and x[j], which is not -128. of_x[0] and of_x[1] are the sums of all x with j < 2 and with j >= 2.
template <int kMaxQ, int kOffset, int kGroups>
struct ByteSum {
  Ints sum;
  void begin(const int16_t*) { sum = set1_int(0); }
  void add(Bytes w, const int8_t* x) {
    CARAT_LANES {
      for (int j = 0; j < 4; ++j)
        sum.lane[i] += static_cast<int16_t>(w.lane[4 * i + j] - kOffset) * static_cast<int16_t>(x[j]);
    }
  }
  Ints end(const int16_t*) const { return sum; }
  Ints raw() const { return sum; }  // what scaled() takes
};
// The same for entries of a table and few tokens. Where kSignedEntries, add() takes w - kOffset, which is not
// -128, as signed bytes.
constexpr bool kSignedEntries = false;
template <int kMaxQ, int kOffset, int kGroups>
using EntrySum = ByteSum<kMaxQ, kOffset, kGroups>;
// The sums of lanes 0, 1 of each four and of lanes 2, 3, modulo 2^16.
inline void pair_sums(Ints v, int16_t* out) {
  uint32_t sums[2] = {};
  CARAT_LANES sums[i % 4 / 2] += static_cast<uint32_t>(v.lane[i]);
  for (int i = 0; i < 2; ++i) out[i] = static_cast<int16_t>(sums[i]);
}

inline void prefetch(const void*) {}

// ---- probes

// How many independent sums (of bytes, of parts) hide the latency of a multiply-add without leaving the registers.
constexpr int kPeakBytes = 2, kPeakParts = 12;
// One sum of products of bytes: add() multiplies by the same four everywhere, widen() comes after every eighth where
// products are gathered in fewer bits. The compiler may neither leave one out nor add in another order.
struct PeakSums {
  Ints sums;
  void add(Bytes w, int32_t x) {
    int8_t four[4];
    memcpy(four, &x, 4);
    CARAT_LANES {
      for (int j = 0; j < 4; ++j) sums.lane[i] += static_cast<int16_t>(w.lane[4 * i + j]) * static_cast<int16_t>(four[j]);
    }
  }
  void widen() {}
};
// The same bytes, but the compiler no longer knows what they are: products of them are computed every time.
inline void make_unknown(Bytes& v) { asm volatile("" : "+m"(v)); }

#undef CARAT_LANES
#undef CARAT_BYTES

}  // namespace
}  // namespace carat
