// The SIMD vocabulary in AVX2 with FMA and F16C: sixteen lanes are two registers, so that every sum has the
// same order, and the same bits, as with AVX-512. Meanings: vec_scalar.h.
#pragma once

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

namespace carat {
namespace {

constexpr int kTileRows = 4, kTileTokens = 3;
constexpr int kTileQueries = 4, kTileVectors = 2;
constexpr int kTileInt8 = 4;
constexpr int kTileFloat = 6;

struct Floats {
  __m256 a, b;  // lanes 0 … 7, 8 … 15
};
struct Ints {
  __m256i a, b;
};
struct Bytes {
  __m256i a, b;
};

// All bits set in the first n of sixteen lanes.
inline Ints first_lanes(int64_t n) {
  const __m256i count = _mm256_set1_epi32(static_cast<int32_t>(n));
  return {_mm256_cmpgt_epi32(count, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)),
          _mm256_cmpgt_epi32(count, _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15))};
}

// ---- floats

inline Floats zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline Floats set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline Floats load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline Floats load_part(const float* p, int64_t n) {
  const Ints mask = first_lanes(n);
  return {_mm256_maskload_ps(p, mask.a), _mm256_maskload_ps(p + 8, mask.b)};
}
inline void store(float* p, Floats v) {
  _mm256_storeu_ps(p, v.a);
  _mm256_storeu_ps(p + 8, v.b);
}
inline void store_part(float* p, Floats v, int64_t n) {
  const Ints mask = first_lanes(n);
  _mm256_maskstore_ps(p, mask.a, v.a);
  _mm256_maskstore_ps(p + 8, mask.b, v.b);
}
inline Floats add(Floats a, Floats b) { return {_mm256_add_ps(a.a, b.a), _mm256_add_ps(a.b, b.b)}; }
inline Floats sub(Floats a, Floats b) { return {_mm256_sub_ps(a.a, b.a), _mm256_sub_ps(a.b, b.b)}; }
inline Floats mul(Floats a, Floats b) { return {_mm256_mul_ps(a.a, b.a), _mm256_mul_ps(a.b, b.b)}; }
inline Floats div(Floats a, Floats b) { return {_mm256_div_ps(a.a, b.a), _mm256_div_ps(a.b, b.b)}; }
inline Floats fma(Floats a, Floats b, Floats c) {
  return {_mm256_fmadd_ps(a.a, b.a, c.a), _mm256_fmadd_ps(a.b, b.b, c.b)};
}
inline Floats fnma(Floats a, Floats b, Floats c) {
  return {_mm256_fnmadd_ps(a.a, b.a, c.a), _mm256_fnmadd_ps(a.b, b.b, c.b)};
}
inline Floats max(Floats a, Floats b) { return {_mm256_max_ps(a.a, b.a), _mm256_max_ps(a.b, b.b)}; }
inline Floats min(Floats a, Floats b) { return {_mm256_min_ps(a.a, b.a), _mm256_min_ps(a.b, b.b)}; }
inline Floats abs(Floats a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.a), _mm256_andnot_ps(sign, a.b)};
}
inline Floats select_less(Floats a, Floats b, Floats yes, Floats no) {
  return {_mm256_blendv_ps(no.a, yes.a, _mm256_cmp_ps(a.a, b.a, _CMP_LT_OQ)),
          _mm256_blendv_ps(no.b, yes.b, _mm256_cmp_ps(a.b, b.b, _CMP_LT_OQ))};
}
inline Floats with_sign(Floats magnitude, Floats sign) {
  const __m256 bit = _mm256_set1_ps(-0.0f);
  return {_mm256_or_ps(magnitude.a, _mm256_and_ps(sign.a, bit)),
          _mm256_or_ps(magnitude.b, _mm256_and_ps(sign.b, bit))};
}
template <int kApart>
inline __m256 swap_eight(__m256 v) {
  if constexpr (kApart == 4) return _mm256_permute2f128_ps(v, v, 1);
  return _mm256_permute_ps(v, kApart == 1 ? 0xb1 : 0x4e);
}
template <int kApart>
inline Floats swap_lanes(Floats v) {
  if constexpr (kApart == 8) return {v.b, v.a};
  return {swap_eight<kApart>(v.a), swap_eight<kApart>(v.b)};
}
inline float square_root(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }

inline float sum(Floats v) {
  const __m256 eight = _mm256_add_ps(v.a, v.b);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline __m256 halve_pair(Floats a, Floats b) {  // lanes i + (i+8), then i + (i+4), of a below and of b above
  const __m256 x = _mm256_add_ps(a.a, a.b), y = _mm256_add_ps(b.a, b.b);
  return _mm256_add_ps(_mm256_permute2f128_ps(x, y, 0x20), _mm256_permute2f128_ps(x, y, 0x31));
}
inline void sum4(Floats a, Floats b, Floats c, Floats d, float* out) {
  const __m256 ab = halve_pair(a, b), cd = halve_pair(c, d);
  const __m256 two = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
  const __m256 one = _mm256_hadd_ps(two, two);  // a, c below; b, d above
  _mm_storeu_ps(out, _mm_unpacklo_ps(_mm256_castps256_ps128(one), _mm256_extractf128_ps(one, 1)));
}
inline float max_lane(Floats v) {
  const __m256 eight = _mm256_max_ps(v.a, v.b);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

// ---- 16-bit floats

inline __m128i load8(const uint16_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
inline Floats load_f16(const uint16_t* p) {
  return {_mm256_cvtph_ps(load8(p)), _mm256_cvtph_ps(load8(p + 8))};
}
inline __m256 widen_bf16(__m128i v) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(v), 16));
}
inline Floats load_bf16(const uint16_t* p) { return {widen_bf16(load8(p)), widen_bf16(load8(p + 8))}; }
inline Floats load_f16_part(const uint16_t* p, int64_t n) {
  uint16_t copy[16] = {};
  memcpy(copy, p, static_cast<size_t>(n) * 2);
  return load_f16(copy);
}
inline Floats load_bf16_part(const uint16_t* p, int64_t n) {
  uint16_t copy[16] = {};
  memcpy(copy, p, static_cast<size_t>(n) * 2);
  return load_bf16(copy);
}
inline Floats set1_f16(const uint8_t* p) {
  int16_t bits;
  memcpy(&bits, p, 2);
  const __m256 d = _mm256_cvtph_ps(_mm_set1_epi16(bits));
  return {d, d};
}
inline void store16(uint16_t* p, __m128i low, __m128i high, int64_t n) {
  uint16_t copy[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(copy), low);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(copy + 8), high);
  memcpy(p, copy, static_cast<size_t>(n) * 2);
}
inline void store_f16_part(uint16_t* p, Floats v, int64_t n) {
  store16(p, _mm256_cvtps_ph(v.a, _MM_FROUND_TO_NEAREST_INT), _mm256_cvtps_ph(v.b, _MM_FROUND_TO_NEAREST_INT),
          n);
}
inline __m128i narrow_bf16(__m256 v) {
  const __m256i bits = _mm256_castps_si256(v), high = _mm256_srli_epi32(bits, 16);
  const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
  const __m256i rounded =
      _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd), 16);
  const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
  const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
  const __m256i r = _mm256_blendv_epi8(rounded, quiet, is_nan);
  return _mm_packus_epi32(_mm256_castsi256_si128(r), _mm256_extracti128_si256(r, 1));
}
inline void store_bf16_part(uint16_t* p, Floats v, int64_t n) {
  store16(p, narrow_bf16(v.a), narrow_bf16(v.b), n);
}

// ---- parts

constexpr int kParts = 2, kPartLanes = 8;
typedef __m256 Part;

inline Part part_zero() { return _mm256_setzero_ps(); }
inline Part part_set1(float x) { return _mm256_set1_ps(x); }
inline Part part_load(const float* p) { return _mm256_loadu_ps(p); }
inline void part_store(float* p, Part v) { _mm256_storeu_ps(p, v); }
inline Part part_load_f16(const uint16_t* p) { return _mm256_cvtph_ps(load8(p)); }
inline Part part_load_bf16(const uint16_t* p) { return widen_bf16(load8(p)); }
inline Part part_fma(Part a, Part b, Part c) { return _mm256_fmadd_ps(a, b, c); }
inline Part part_of(Floats v, int i) { return i == 0 ? v.a : v.b; }
inline Floats from_parts(const Part* p, int64_t stride) { return {p[0], p[stride]}; }

// ---- 32-bit integers

inline Ints set1_int(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
inline Ints load_ints(const int32_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 8))};
}
inline __m128i load_half(const uint8_t* p) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)); }
inline Ints load_u8(const uint8_t* p) {
  return {_mm256_cvtepu8_epi32(load_half(p)), _mm256_cvtepu8_epi32(load_half(p + 8))};
}
inline Ints load_s8(const uint8_t* p) {
  return {_mm256_cvtepi8_epi32(load_half(p)), _mm256_cvtepi8_epi32(load_half(p + 8))};
}
inline Ints add(Ints a, Ints b) { return {_mm256_add_epi32(a.a, b.a), _mm256_add_epi32(a.b, b.b)}; }
inline Ints sub(Ints a, Ints b) { return {_mm256_sub_epi32(a.a, b.a), _mm256_sub_epi32(a.b, b.b)}; }
inline Ints mul(Ints a, Ints b) { return {_mm256_mullo_epi32(a.a, b.a), _mm256_mullo_epi32(a.b, b.b)}; }
inline Ints bit_and(Ints a, Ints b) { return {_mm256_and_si256(a.a, b.a), _mm256_and_si256(a.b, b.b)}; }
inline Ints bit_or(Ints a, Ints b) { return {_mm256_or_si256(a.a, b.a), _mm256_or_si256(a.b, b.b)}; }
inline Ints min(Ints a, Ints b) { return {_mm256_min_epi32(a.a, b.a), _mm256_min_epi32(a.b, b.b)}; }
inline Ints max(Ints a, Ints b) { return {_mm256_max_epi32(a.a, b.a), _mm256_max_epi32(a.b, b.b)}; }
template <int n>
inline Ints shift_left(Ints a) {
  return {_mm256_slli_epi32(a.a, n), _mm256_slli_epi32(a.b, n)};
}
template <int n>
inline Ints shift_right(Ints a) {
  return {_mm256_srli_epi32(a.a, n), _mm256_srli_epi32(a.b, n)};
}
template <int n>
inline Ints shift_right_signed(Ints a) {
  return {_mm256_srai_epi32(a.a, n), _mm256_srai_epi32(a.b, n)};
}
inline Ints zero_if_equal(Ints a, Ints b, Ints value) {
  return {_mm256_andnot_si256(_mm256_cmpeq_epi32(a.a, b.a), value.a),
          _mm256_andnot_si256(_mm256_cmpeq_epi32(a.b, b.b), value.b)};
}
inline int32_t sum(Ints v) {
  const __m256i eight = _mm256_add_epi32(v.a, v.b);
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xee));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0x55)));
}
inline Floats to_floats(Ints a) { return {_mm256_cvtepi32_ps(a.a), _mm256_cvtepi32_ps(a.b)}; }
inline Ints round_to_ints(Floats a) { return {_mm256_cvtps_epi32(a.a), _mm256_cvtps_epi32(a.b)}; }
inline Floats bits_to_floats(Ints a) { return {_mm256_castsi256_ps(a.a), _mm256_castsi256_ps(a.b)}; }
inline Ints floats_to_bits(Floats a) { return {_mm256_castps_si256(a.a), _mm256_castps_si256(a.b)}; }
inline __m128i pack_s16(__m256i v) {
  return _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}
inline void store_s8(int8_t* p, Ints v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(pack_s16(v.a), pack_s16(v.b)));
}
inline __m256 f16_eight(__m256i v) {
  const __m256i low = _mm256_and_si256(v, _mm256_set1_epi32(0xffff));
  return _mm256_cvtph_ps(_mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)));
}
inline Floats f16_lanes(Ints a) { return {f16_eight(a.a), f16_eight(a.b)}; }
inline __m256i part_f16_pairs(__m256i v) {  // the low halves of all lanes, then the high ones
  const __m256i apart = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15,  //
                                         0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
  return _mm256_permute4x64_epi64(_mm256_shuffle_epi8(v, apart), 0xd8);
}
inline void f16_pairs(Ints v, Floats& low, Floats& high) {
  const __m256i a = part_f16_pairs(v.a), b = part_f16_pairs(v.b);
  low = {_mm256_cvtph_ps(_mm256_castsi256_si128(a)), _mm256_cvtph_ps(_mm256_castsi256_si128(b))};
  high = {_mm256_cvtph_ps(_mm256_extracti128_si256(a, 1)), _mm256_cvtph_ps(_mm256_extracti128_si256(b, 1))};
}

// ---- 64 bytes

inline Bytes load_bytes(const uint8_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32))};
}
inline void store(uint8_t* p, Bytes v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v.a);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 32), v.b);
}
inline Bytes set1_byte(uint8_t x) {
  return {_mm256_set1_epi8(static_cast<char>(x)), _mm256_set1_epi8(static_cast<char>(x))};
}
inline Bytes bit_and(Bytes a, Bytes b) { return {_mm256_and_si256(a.a, b.a), _mm256_and_si256(a.b, b.b)}; }
inline Bytes bit_or(Bytes a, Bytes b) { return {_mm256_or_si256(a.a, b.a), _mm256_or_si256(a.b, b.b)}; }
inline Bytes bit_xor(Bytes a, Bytes b) { return {_mm256_xor_si256(a.a, b.a), _mm256_xor_si256(a.b, b.b)}; }
template <int n>
inline Bytes shift_right(Bytes a) {
  const __m256i kept = _mm256_set1_epi8(static_cast<char>(0xff >> n));
  return {_mm256_and_si256(_mm256_srli_epi16(a.a, n), kept),
          _mm256_and_si256(_mm256_srli_epi16(a.b, n), kept)};
}
template <int n>
inline Bytes shift_left(Bytes a) {
  const __m256i kept = _mm256_set1_epi8(static_cast<char>(0xff << n));
  return {_mm256_and_si256(_mm256_slli_epi16(a.a, n), kept),
          _mm256_and_si256(_mm256_slli_epi16(a.b, n), kept)};
}
inline Bytes lookup(const uint8_t* table, Bytes a) {
  const __m256i entries =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  return {_mm256_shuffle_epi8(entries, a.a), _mm256_shuffle_epi8(entries, a.b)};
}
inline Ints as_ints(Bytes a) { return {a.a, a.b}; }
inline Bytes as_bytes(Ints a) { return {a.a, a.b}; }

inline __m128i load4(const uint8_t* p) {
  int32_t four;
  memcpy(&four, p, 4);
  return _mm_cvtsi32_si128(four);
}
CARAT_ALWAYS_INLINE __m128i gather4_four(const uint8_t* p, int64_t stride) {
  const __m128i ab = _mm_unpacklo_epi32(load4(p), load4(p + stride));
  const __m128i cd = _mm_unpacklo_epi32(load4(p + 2 * stride), load4(p + 3 * stride));
  return _mm_unpacklo_epi64(ab, cd);
}
CARAT_ALWAYS_INLINE __m256i gather4_eight(const uint8_t* p, int64_t stride) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(gather4_four(p, stride)),
                                 gather4_four(p + 4 * stride, stride), 1);
}
CARAT_ALWAYS_INLINE Ints gather4(const uint8_t* p, int64_t stride) {
  return {gather4_eight(p, stride), gather4_eight(p + 8 * stride, stride)};
}
CARAT_ALWAYS_INLINE __m256i load_two_rows(const uint8_t* p, const uint8_t* q) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
                                 _mm_loadu_si128(reinterpret_cast<const __m128i*>(q)), 1);
}
CARAT_ALWAYS_INLINE void transpose16_eight(const uint8_t* p, int64_t stride, __m256i* out) {
  __m256i rows[4];  // in 128-bit lane i: row 4 i + j
  for (int j = 0; j < 4; ++j) rows[j] = load_two_rows(p + j * stride, p + (4 + j) * stride);
  const __m256i low01 = _mm256_unpacklo_epi32(rows[0], rows[1]),
                low23 = _mm256_unpacklo_epi32(rows[2], rows[3]);
  const __m256i high01 = _mm256_unpackhi_epi32(rows[0], rows[1]),
                high23 = _mm256_unpackhi_epi32(rows[2], rows[3]);
  out[0] = _mm256_unpacklo_epi64(low01, low23);
  out[1] = _mm256_unpackhi_epi64(low01, low23);
  out[2] = _mm256_unpacklo_epi64(high01, high23);
  out[3] = _mm256_unpackhi_epi64(high01, high23);
}
CARAT_ALWAYS_INLINE void transpose16(const uint8_t* p, int64_t stride, Bytes* out) {
  __m256i first[4], second[4];
  transpose16_eight(p, stride, first);
  transpose16_eight(p + 8 * stride, stride, second);
  for (int c = 0; c < 4; ++c) out[c] = {first[c], second[c]};
}

template <int c>
inline __m256i bit_bytes_eight(__m256i words, uint8_t value) {
  // Each lane's byte c/2 four times over, then one bit of it for each.
  const __m256i start =
      _mm256_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c, 0, 0x04040404, 0x08080808, 0x0c0c0c0c);
  const __m256i byte = _mm256_add_epi8(start, _mm256_set1_epi8(c / 2));
  const __m256i bits = _mm256_set1_epi32(c % 2 == 0 ? 0x08040201 : static_cast<int>(0x80402010));
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(words, byte), bits), bits);
  return _mm256_and_si256(set, _mm256_set1_epi8(static_cast<char>(value)));
}
template <int c>
inline Bytes bit_bytes(Ints words, uint8_t value) {
  return {bit_bytes_eight<c>(words.a, value), bit_bytes_eight<c>(words.b, value)};
}

// From memory into their lanes: half as many instructions as gather4() and f16_lanes().
CARAT_ALWAYS_INLINE __m256 gather_f16_eight(const uint8_t* p, int64_t stride) {
  const auto half = [](const uint8_t* at) {
    int16_t bits;
    memcpy(&bits, at, 2);
    return bits;
  };
  __m128i v = _mm_cvtsi32_si128(static_cast<uint16_t>(half(p)));
  v = _mm_insert_epi16(v, half(p + stride), 1);
  v = _mm_insert_epi16(v, half(p + 2 * stride), 2);
  v = _mm_insert_epi16(v, half(p + 3 * stride), 3);
  v = _mm_insert_epi16(v, half(p + 4 * stride), 4);
  v = _mm_insert_epi16(v, half(p + 5 * stride), 5);
  v = _mm_insert_epi16(v, half(p + 6 * stride), 6);
  v = _mm_insert_epi16(v, half(p + 7 * stride), 7);
  return _mm256_cvtph_ps(v);
}
CARAT_ALWAYS_INLINE Floats gather_f16(const uint8_t* p, int64_t stride) {
  return {gather_f16_eight(p, stride), gather_f16_eight(p + 8 * stride, stride)};
}

// ---- products of bytes

inline __m256i broadcast4(const void* p) {
  int32_t four;
  memcpy(&four, p, 4);
  return _mm256_set1_epi32(four);
}

#if defined(__AVXVNNI__)

template <int kMaxQ, int kOffset, int kGroups>
struct ByteSum {
  Ints sum;
  void begin(const int16_t* of_x) {
    const __m256i first = kOffset == 0 ? _mm256_setzero_si256()
                                       : _mm256_madd_epi16(broadcast4(of_x), _mm256_set1_epi16(-kOffset));
    sum = {first, first};
  }
  void add(Bytes w, const int8_t* x) {
    const __m256i four = broadcast4(x);
    sum = {_mm256_dpbusd_avx_epi32(sum.a, w.a, four), _mm256_dpbusd_avx_epi32(sum.b, w.b, four)};
  }
  Ints end(const int16_t*) const { return sum; }
  Ints raw() const { return sum; }
};
constexpr bool kSignedEntries = false;
template <int kMaxQ, int kOffset, int kGroups>
using EntrySum = ByteSum<kMaxQ, kOffset, kGroups>;

#else

#define CARAT_OWN_BYTE_SCALES  // instead of those in generic/int8_dots.inl
// Twice in 16 bits: madd, which adds the pairs of a sum, multiplies with them at no price.
template <int byte>
inline __m256i byte_scales_eight(__m256i v) {
  const __m256i place = _mm256_set1_epi32(byte << 24 | 0x800000 | byte << 8 | 0x80);
  const __m256i lanes = _mm256_setr_epi32(0, 0x04000400, 0x08000800, 0x0c000c00, 0, 0x04000400, 0x08000800, 0x0c000c00);
  return _mm256_srai_epi16(_mm256_shuffle_epi8(v, _mm256_add_epi8(place, lanes)), 8);
}
template <int byte>
inline Floats byte_scales(Ints v) {
  return bits_to_floats({byte_scales_eight<byte>(v.a), byte_scales_eight<byte>(v.b)});
}
using ScaledSum = Ints;
inline ScaledSum scaled(Ints raw, Floats scale) {
  const Ints twice = floats_to_bits(scale);
  return {_mm256_madd_epi16(raw.a, twice.a), _mm256_madd_epi16(raw.b, twice.b)};
}

// maddubs adds two u8 x s8 products in 16 bits. Sums of these go on in 16 bits: they may wrap, as long as the last one
// fits, and that of (w - center) x does where |w - center| * 127 * 2 kGroups < 2^15. So sums begin at -center times
// the sum of x; what center and kOffset differ by is put right in 32 bits.
template <int kMaxQ, int kOffset, int kGroups, bool kWide = (kMaxQ > 127)>
struct ByteSum {
  static constexpr int kSpread = 32767 / (127 * 2 * kGroups);  // how far w may be from the center
  static constexpr bool kFits = kOffset <= kSpread && kMaxQ - kOffset <= kSpread;
  static constexpr int kCenter = kFits ? kOffset : (kMaxQ + 1) / 2;
  static_assert(kCenter <= kSpread && kMaxQ - kCenter <= kSpread);

  Bytes pairs;
  void begin(const int16_t* of_x) {
    const __m256i first =
        kCenter == 0 ? _mm256_setzero_si256() : _mm256_mullo_epi16(broadcast4(of_x), _mm256_set1_epi16(-kCenter));
    pairs = {first, first};
  }
  void add(Bytes w, const int8_t* x) {
    const __m256i four = broadcast4(x);
    pairs = {_mm256_add_epi16(pairs.a, _mm256_maddubs_epi16(w.a, four)),
             _mm256_add_epi16(pairs.b, _mm256_maddubs_epi16(w.b, four))};
  }
  Ints end(const int16_t* of_x) const {
    const __m256i one = _mm256_set1_epi16(1);
    const Ints sum = {_mm256_madd_epi16(pairs.a, one), _mm256_madd_epi16(pairs.b, one)};
    if constexpr (kCenter == kOffset) return sum;
    const __m256i rest = _mm256_madd_epi16(broadcast4(of_x), _mm256_set1_epi16(kCenter - kOffset));
    return {_mm256_add_epi32(sum.a, rest), _mm256_add_epi32(sum.b, rest)};
  }
  Ints raw() const {
    static_assert(kCenter == kOffset);
    return {pairs.a, pairs.b};
  }
};

// Bytes up to 255 lose 128 and go in as |w| with the sign moved to x: 2 * 128 * 127 still fits into 16 bits.
template <int kMaxQ, int kOffset, int kGroups>
struct ByteSum<kMaxQ, kOffset, kGroups, true> {
  Ints sum;
  void begin(const int16_t* of_x) {
    const __m256i first = kOffset == 128 ? _mm256_setzero_si256()
                                         : _mm256_madd_epi16(broadcast4(of_x), _mm256_set1_epi16(128 - kOffset));
    sum = {first, first};
  }
  void add(Bytes w, const int8_t* x) {
    const __m256i one = _mm256_set1_epi16(1), bias = _mm256_set1_epi8(static_cast<char>(0x80)), four = broadcast4(x);
    const __m256i a = _mm256_xor_si256(w.a, bias), b = _mm256_xor_si256(w.b, bias);
    const __m256i p = _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(four, a));
    const __m256i q = _mm256_maddubs_epi16(_mm256_abs_epi8(b), _mm256_sign_epi8(four, b));
    sum = {_mm256_add_epi32(sum.a, _mm256_madd_epi16(p, one)), _mm256_add_epi32(sum.b, _mm256_madd_epi16(q, one))};
  }
  Ints end(const int16_t*) const { return sum; }
};

// Entries are signed: |x|, which all rows share, goes in with its sign moved to w. |w| < 128.
constexpr bool kSignedEntries = true;
template <int kMaxQ, int kOffset, int kGroups>
struct EntrySum {
  Ints sum;
  void begin(const int16_t*) { sum = set1_int(0); }
  void add(Bytes w, const int8_t* x) {
    const __m256i one = _mm256_set1_epi16(1), four = broadcast4(x), size = _mm256_abs_epi8(four);
    const __m256i p = _mm256_maddubs_epi16(size, _mm256_sign_epi8(w.a, four));
    const __m256i q = _mm256_maddubs_epi16(size, _mm256_sign_epi8(w.b, four));
    sum = {_mm256_add_epi32(sum.a, _mm256_madd_epi16(p, one)),
           _mm256_add_epi32(sum.b, _mm256_madd_epi16(q, one))};
  }
  Ints end(const int16_t*) const { return sum; }
};

#endif

inline void pair_sums(Ints v, int16_t* out) {
  const __m256i eight = _mm256_add_epi32(v.a, v.b);
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i pairs = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1));
  out[0] = static_cast<int16_t>(_mm_cvtsi128_si32(pairs));
  out[1] = static_cast<int16_t>(_mm_extract_epi32(pairs, 2));
}

// Not _mm_prefetch: g++ takes a function that does nothing but that for one without effect, and drops calls of it.
inline void prefetch(const void* p) { asm volatile("prefetcht1 %0" : : "m"(*static_cast<const char*>(p))); }

// ---- probes

#if defined(__AVXVNNI__)
constexpr int kPeakBytes = 5;
struct PeakSums {
  Ints sums;
  void add(Bytes w, int32_t x) {
    const __m256i four = _mm256_set1_epi32(x);
    sums = {_mm256_dpbusd_avx_epi32(sums.a, w.a, four), _mm256_dpbusd_avx_epi32(sums.b, w.b, four)};
    asm volatile("" : "+x"(sums.a), "+x"(sums.b));
  }
  void widen() {}
};
#else
constexpr int kPeakBytes = 2;
struct PeakSums {
  Ints sums;
  Bytes pairs = set1_byte(0);
  void add(Bytes w, int32_t x) {
    const __m256i four = _mm256_set1_epi32(x);
    pairs = {_mm256_add_epi16(pairs.a, _mm256_maddubs_epi16(w.a, four)),
             _mm256_add_epi16(pairs.b, _mm256_maddubs_epi16(w.b, four))};
    asm volatile("" : "+x"(pairs.a), "+x"(pairs.b));
  }
  void widen() {
    const __m256i one = _mm256_set1_epi16(1);
    sums = {_mm256_add_epi32(sums.a, _mm256_madd_epi16(pairs.a, one)),
            _mm256_add_epi32(sums.b, _mm256_madd_epi16(pairs.b, one))};
    pairs = set1_byte(0);
  }
};
#endif
constexpr int kPeakParts = 12;
inline void make_unknown(Bytes& v) { asm volatile("" : "+x"(v.a), "+x"(v.b)); }

}  // namespace
}  // namespace carat
