// The SIMD vocabulary in AVX-512 (F, BW, DQ, VL) with VNNI: sixteen lanes are one register. Meanings:
// vec_scalar.h.
#pragma once

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

namespace carat {
namespace {

constexpr int kTileRows = 4, kTileTokens = 4;
constexpr int kTileQueries = 4, kTileVectors = 4;
constexpr int kTileInt8 = 8;
constexpr int kTileFloat = 12;

struct Floats {
  __m512 v;
};
struct Ints {
  __m512i v;
};
struct Bytes {
  __m512i v;
};

inline __mmask16 first_lanes(int64_t n) { return static_cast<__mmask16>((1u << n) - 1u); }

// ---- floats

inline Floats zero() { return {_mm512_setzero_ps()}; }
inline Floats set1(float x) { return {_mm512_set1_ps(x)}; }
inline Floats load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline Floats load_part(const float* p, int64_t n) { return {_mm512_maskz_loadu_ps(first_lanes(n), p)}; }
inline void store(float* p, Floats v) { _mm512_storeu_ps(p, v.v); }
inline void store_part(float* p, Floats v, int64_t n) { _mm512_mask_storeu_ps(p, first_lanes(n), v.v); }
inline Floats add(Floats a, Floats b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Floats sub(Floats a, Floats b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Floats mul(Floats a, Floats b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Floats div(Floats a, Floats b) { return {_mm512_div_ps(a.v, b.v)}; }
inline Floats fma(Floats a, Floats b, Floats c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline Floats fnma(Floats a, Floats b, Floats c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }
inline Floats max(Floats a, Floats b) { return {_mm512_max_ps(a.v, b.v)}; }
inline Floats min(Floats a, Floats b) { return {_mm512_min_ps(a.v, b.v)}; }
inline Floats abs(Floats a) { return {_mm512_abs_ps(a.v)}; }
inline Floats select_less(Floats a, Floats b, Floats yes, Floats no) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), no.v, yes.v)};
}
inline Floats with_sign(Floats magnitude, Floats sign) {
  return {_mm512_or_ps(magnitude.v, _mm512_and_ps(sign.v, _mm512_set1_ps(-0.0f)))};
}
template <int kApart>
inline Floats swap_lanes(Floats v) {
  if constexpr (kApart >= 4) return {_mm512_shuffle_f32x4(v.v, v.v, kApart == 4 ? 0xb1 : 0x4e)};
  return {_mm512_permute_ps(v.v, kApart == 1 ? 0xb1 : 0x4e)};
}
inline float square_root(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }

inline float sum(Floats v) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v.v), _mm512_extractf32x8_ps(v.v, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline void sum4(Floats a, Floats b, Floats c, Floats d, float* out) {
  const __m512 ab = _mm512_add_ps(_mm512_shuffle_f32x4(a.v, b.v, 0x44), _mm512_shuffle_f32x4(a.v, b.v, 0xee));
  const __m512 cd = _mm512_add_ps(_mm512_shuffle_f32x4(c.v, d.v, 0x44), _mm512_shuffle_f32x4(c.v, d.v, 0xee));
  const __m512 four = _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
  const __m512 two = _mm512_add_ps(four, _mm512_permute_ps(four, 0xee));
  const __m512 one = _mm512_add_ps(two, _mm512_permute_ps(two, 0x55));
  const __m512i heads = _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  _mm_storeu_ps(out, _mm512_castps512_ps128(_mm512_permutexvar_ps(heads, one)));
}
inline float max_lane(Floats v) { return _mm512_reduce_max_ps(v.v); }

// ---- 16-bit floats

inline Floats load_f16(const uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline Floats load_f16_part(const uint16_t* p, int64_t n) {
  return {_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first_lanes(n), p))};
}
inline Floats widen_bf16(__m256i v) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16))};
}
inline Floats load_bf16(const uint16_t* p) {
  return widen_bf16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline Floats load_bf16_part(const uint16_t* p, int64_t n) {
  return widen_bf16(_mm256_maskz_loadu_epi16(first_lanes(n), p));
}
inline Floats set1_f16(const uint8_t* p) {
  int16_t bits;
  memcpy(&bits, p, 2);
  return {_mm512_cvtph_ps(_mm256_set1_epi16(bits))};
}
inline void store_f16_part(uint16_t* p, Floats v, int64_t n) {
  _mm256_mask_storeu_epi16(p, first_lanes(n), _mm512_cvtps_ph(v.v, _MM_FROUND_TO_NEAREST_INT));
}
inline void store_bf16_part(uint16_t* p, Floats v, int64_t n) {
  const __m512i bits = _mm512_castps_si512(v.v), high = _mm512_srli_epi32(bits, 16);
  const __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
  const __m512i rounded =
      _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd), 16);
  const __mmask16 is_nan = _mm512_cmp_ps_mask(v.v, v.v, _CMP_UNORD_Q);
  const __m512i r = _mm512_mask_or_epi32(rounded, is_nan, high, _mm512_set1_epi32(0x40));
  _mm256_mask_storeu_epi16(p, first_lanes(n), _mm512_cvtepi32_epi16(r));
}

// ---- parts

constexpr int kParts = 1, kPartLanes = 16;
typedef __m512 Part;

inline Part part_zero() { return _mm512_setzero_ps(); }
inline Part part_set1(float x) { return _mm512_set1_ps(x); }
inline Part part_load(const float* p) { return _mm512_loadu_ps(p); }
inline void part_store(float* p, Part v) { _mm512_storeu_ps(p, v); }
inline Part part_load_f16(const uint16_t* p) { return load_f16(p).v; }
inline Part part_load_bf16(const uint16_t* p) { return load_bf16(p).v; }
inline Part part_fma(Part a, Part b, Part c) { return _mm512_fmadd_ps(a, b, c); }
inline Part part_of(Floats v, int) { return v.v; }
inline Floats from_parts(const Part* p, int64_t) { return {*p}; }

// ---- 32-bit integers

inline Ints set1_int(int32_t x) { return {_mm512_set1_epi32(x)}; }
inline Ints load_ints(const int32_t* p) { return {_mm512_loadu_si512(p)}; }
inline __m128i load16(const uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
inline Ints load_u8(const uint8_t* p) { return {_mm512_cvtepu8_epi32(load16(p))}; }
inline Ints load_s8(const uint8_t* p) { return {_mm512_cvtepi8_epi32(load16(p))}; }
inline Ints add(Ints a, Ints b) { return {_mm512_add_epi32(a.v, b.v)}; }
inline Ints sub(Ints a, Ints b) { return {_mm512_sub_epi32(a.v, b.v)}; }
inline Ints mul(Ints a, Ints b) { return {_mm512_mullo_epi32(a.v, b.v)}; }
inline Ints bit_and(Ints a, Ints b) { return {_mm512_and_si512(a.v, b.v)}; }
inline Ints bit_or(Ints a, Ints b) { return {_mm512_or_si512(a.v, b.v)}; }
inline Ints min(Ints a, Ints b) { return {_mm512_min_epi32(a.v, b.v)}; }
inline Ints max(Ints a, Ints b) { return {_mm512_max_epi32(a.v, b.v)}; }
template <int n>
inline Ints shift_left(Ints a) {
  return {_mm512_slli_epi32(a.v, n)};
}
template <int n>
inline Ints shift_right(Ints a) {
  return {_mm512_srli_epi32(a.v, n)};
}
template <int n>
inline Ints shift_right_signed(Ints a) {
  return {_mm512_srai_epi32(a.v, n)};
}
inline Ints zero_if_equal(Ints a, Ints b, Ints value) {
  return {_mm512_maskz_mov_epi32(_mm512_cmpneq_epi32_mask(a.v, b.v), value.v)};
}
inline int32_t sum(Ints v) { return _mm512_reduce_add_epi32(v.v); }
inline Floats to_floats(Ints a) { return {_mm512_cvtepi32_ps(a.v)}; }
inline Ints round_to_ints(Floats a) { return {_mm512_cvtps_epi32(a.v)}; }
inline Floats bits_to_floats(Ints a) { return {_mm512_castsi512_ps(a.v)}; }
inline Ints floats_to_bits(Floats a) { return {_mm512_castps_si512(a.v)}; }
inline void store_s8(int8_t* p, Ints v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(v.v));
}
inline Floats f16_lanes(Ints a) { return {_mm512_cvtph_ps(_mm512_cvtepi32_epi16(a.v))}; }
inline void f16_pairs(Ints a, Floats& low, Floats& high) {
  low = f16_lanes(a);
  high = f16_lanes(shift_right<16>(a));
}

// ---- 64 bytes

inline Bytes load_bytes(const uint8_t* p) { return {_mm512_loadu_si512(p)}; }
inline void store(uint8_t* p, Bytes v) { _mm512_storeu_si512(p, v.v); }
inline Bytes set1_byte(uint8_t x) { return {_mm512_set1_epi8(static_cast<char>(x))}; }
inline Bytes bit_and(Bytes a, Bytes b) { return {_mm512_and_si512(a.v, b.v)}; }
inline Bytes bit_or(Bytes a, Bytes b) { return {_mm512_or_si512(a.v, b.v)}; }
inline Bytes bit_xor(Bytes a, Bytes b) { return {_mm512_xor_si512(a.v, b.v)}; }
template <int n>
inline Bytes shift_right(Bytes a) {
  return {_mm512_and_si512(_mm512_srli_epi16(a.v, n), _mm512_set1_epi8(static_cast<char>(0xff >> n)))};
}
template <int n>
inline Bytes shift_left(Bytes a) {
  return {_mm512_and_si512(_mm512_slli_epi16(a.v, n), _mm512_set1_epi8(static_cast<char>(0xff << n)))};
}
inline Bytes lookup(const uint8_t* table, Bytes a) {
  const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return {_mm512_shuffle_epi8(_mm512_broadcast_i32x4(entries), a.v)};
}
inline Ints as_ints(Bytes a) { return {a.v}; }
inline Bytes as_bytes(Ints a) { return {a.v}; }

inline __m128i gather4_four(const uint8_t* p, int64_t stride) {
  const __m128i ab = _mm_unpacklo_epi32(_mm_loadu_si32(p), _mm_loadu_si32(p + stride));
  const __m128i cd = _mm_unpacklo_epi32(_mm_loadu_si32(p + 2 * stride), _mm_loadu_si32(p + 3 * stride));
  return _mm_unpacklo_epi64(ab, cd);
}
inline __m512i join(__m128i a, __m128i b, __m128i c, __m128i d) {
  const __m512i ab = _mm512_inserti32x4(_mm512_castsi128_si512(a), b, 1);
  return _mm512_inserti32x4(_mm512_inserti32x4(ab, c, 2), d, 3);
}
inline Ints gather4(const uint8_t* p, int64_t stride) {
  return {join(gather4_four(p, stride), gather4_four(p + 4 * stride, stride),
               gather4_four(p + 8 * stride, stride), gather4_four(p + 12 * stride, stride))};
}
inline void transpose16(const uint8_t* p, int64_t stride, Bytes* out) {
  __m512i rows[4];  // in 128-bit lane i: row 4 i + j
  for (int j = 0; j < 4; ++j)
    rows[j] = join(load16(p + j * stride), load16(p + (4 + j) * stride), load16(p + (8 + j) * stride),
                   load16(p + (12 + j) * stride));
  const __m512i low01 = _mm512_unpacklo_epi32(rows[0], rows[1]),
                low23 = _mm512_unpacklo_epi32(rows[2], rows[3]);
  const __m512i high01 = _mm512_unpackhi_epi32(rows[0], rows[1]),
                high23 = _mm512_unpackhi_epi32(rows[2], rows[3]);
  out[0].v = _mm512_unpacklo_epi64(low01, low23);
  out[1].v = _mm512_unpackhi_epi64(low01, low23);
  out[2].v = _mm512_unpacklo_epi64(high01, high23);
  out[3].v = _mm512_unpackhi_epi64(high01, high23);
}

template <int c>
inline Bytes bit_bytes(Ints words, uint8_t value) {
  // Each lane's byte c/2 four times over, then one bit of it for each.
  const __m512i byte =
      _mm512_add_epi8(_mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0), _mm512_set1_epi8(c / 2));
  const __m512i bits = _mm512_set1_epi32(c % 2 == 0 ? 0x08040201 : static_cast<int>(0x80402010));
  const __mmask64 set = _mm512_test_epi8_mask(_mm512_shuffle_epi8(words.v, byte), bits);
  return {_mm512_maskz_set1_epi8(set, static_cast<char>(value))};
}

inline Floats gather_f16(const uint8_t* p, int64_t stride) { return f16_lanes(gather4(p, stride)); }

// ---- products of bytes

inline __m512i broadcast4(const void* p) {
  int32_t four;
  memcpy(&four, p, 4);
  return _mm512_set1_epi32(four);
}
template <int kMaxQ, int kOffset, int kGroups>
struct ByteSum {
  Ints sum;
  void begin(const int16_t* of_x) {
    sum.v = kOffset == 0 ? _mm512_setzero_si512() : _mm512_madd_epi16(broadcast4(of_x), _mm512_set1_epi16(-kOffset));
  }
  void add(Bytes w, const int8_t* x) { sum.v = _mm512_dpbusd_epi32(sum.v, w.v, broadcast4(x)); }
  Ints end(const int16_t*) const { return sum; }
  Ints raw() const { return sum; }
};
constexpr bool kSignedEntries = false;
template <int kMaxQ, int kOffset, int kGroups>
using EntrySum = ByteSum<kMaxQ, kOffset, kGroups>;
inline void pair_sums(Ints v, int16_t* out) {
  out[0] = static_cast<int16_t>(_mm512_mask_reduce_add_epi32(0x3333, v.v));
  out[1] = static_cast<int16_t>(_mm512_mask_reduce_add_epi32(0xcccc, v.v));
}

#ifdef __AVX512BF16__
// Lane i: sum[i] + w[i].high * x.high + w[i].low * x.low, of two bf16 in each lane of w and in the four bytes at x.
inline Floats add_pair_product(Floats w, const void* x, Floats sum) {
  return {_mm512_dpbf16_ps(sum.v, reinterpret_cast<__m512bh>(w.v), reinterpret_cast<__m512bh>(broadcast4(x)))};
}
#endif

// Not _mm_prefetch: g++ takes a function that does nothing but that for one without effect, and drops calls of it.
inline void prefetch(const void* p) { asm volatile("prefetcht1 %0" : : "m"(*static_cast<const char*>(p))); }

// ---- probes

// Where tests emulate this ISA (tests/emulated/) no register is as long.
#ifdef __AVX512F__
#define CARAT_ANY_REGISTER "+v"
#else
#define CARAT_ANY_REGISTER "+m"
#endif

constexpr int kPeakBytes = 10, kPeakParts = 12;
struct PeakSums {
  Ints sums;
  void add(Bytes w, int32_t x) {
    sums.v = _mm512_dpbusd_epi32(sums.v, w.v, _mm512_set1_epi32(x));
    asm volatile("" : CARAT_ANY_REGISTER(sums.v));
  }
  void widen() {}
};
inline void make_unknown(Bytes& v) { asm volatile("" : CARAT_ANY_REGISTER(v.v)); }

}  // namespace
}  // namespace carat
