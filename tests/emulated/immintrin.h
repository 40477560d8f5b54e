// AVX-512 with VNNI and BF16, and AVX-VNNI, in terms of AVX2, in place of the compiler's header where the kernels of those ISAs
// are compiled for tests: so they are tested on machines that have neither. Most of it is SIMDe's; what its version in Debian
// lacks stands here, each written lane by lane from Intel's description.
#pragma once

#include_next <immintrin.h>

#ifdef CARAT_EMULATED_AVXVNNI
#define __AVXVNNI__ 1
#endif

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
// Not before: SIMDe takes it for a CPU that has all of AVX-512.
#ifdef CARAT_EMULATED_AVX512BF16
#define __AVX512BF16__ 1
#endif
#include <stdint.h>
#include <string.h>

namespace carat_emulated {

template <class T, int n>
struct Lanes {
  T lane[n];
};
template <class T, int n, class V>
inline Lanes<T, n> lanes(V v) {
  static_assert(sizeof(V) == n * sizeof(T));
  Lanes<T, n> r;
  memcpy(&r, &v, sizeof r);
  return r;
}
template <class V, class T, int n>
inline V vector(const Lanes<T, n>& l) {
  static_assert(sizeof(V) == sizeof l);
  V v;
  memcpy(&v, &l, sizeof v);
  return v;
}
// The vector of n lanes of T that f makes of their indices.
template <class V, class T, int n, class F>
inline V each(F f) {
  Lanes<T, n> r;
  for (int i = 0; i < n; ++i) r.lane[i] = static_cast<T>(f(i));
  return vector<V>(r);
}

// ---- conversions
inline __m512 cvtepi32_ps(__m512i v) {
  const auto a = lanes<int32_t, 16>(v);
  return each<__m512, float, 16>([&](int i) { return static_cast<float>(a.lane[i]); });
}
inline __m512i cvtps_epi32(__m512 v) {
  const auto a = lanes<__m256, 2>(v);
  return each<__m512i, __m256i, 2>([&](int i) { return _mm256_cvtps_epi32(a.lane[i]); });
}
inline __m256i cvtepi32_epi16(__m512i v) {
  const auto a = lanes<int32_t, 16>(v);
  return each<__m256i, int16_t, 16>([&](int i) { return a.lane[i]; });
}
template <class From, class V>
inline __m512i widen(V v) {
  const auto a = lanes<From, 16>(v);
  return each<__m512i, int32_t, 16>([&](int i) { return static_cast<int32_t>(a.lane[i]); });
}
inline __m512 cvtph_ps(__m256i v) {
  const auto a = lanes<__m128i, 2>(v);
  return each<__m512, __m256, 2>([&](int i) { return _mm256_cvtph_ps(a.lane[i]); });
}
template <int rounding>
inline __m256i cvtps_ph(__m512 v) {
  const auto a = lanes<__m256, 2>(v);
  return each<__m256i, __m128i, 2>([&](int i) { return _mm256_cvtps_ph(a.lane[i], rounding); });
}

// ---- arithmetic; SIMDe's of floats rounds twice and has another NaN
template <class F, class... V>
inline __m512 halves(F f, V... v) {
  return each<__m512, __m256, 2>([&](int i) { return f(lanes<__m256, 2>(v).lane[i]...); });
}
inline __m512 fmadd_ps(__m512 a, __m512 b, __m512 c) {
  return halves([](__m256 x, __m256 y, __m256 z) { return _mm256_fmadd_ps(x, y, z); }, a, b, c);
}
inline __m512 fnmadd_ps(__m512 a, __m512 b, __m512 c) {
  return halves([](__m256 x, __m256 y, __m256 z) { return _mm256_fnmadd_ps(x, y, z); }, a, b, c);
}
inline __m512 max_ps(__m512 a, __m512 b) {
  return halves([](__m256 x, __m256 y) { return _mm256_max_ps(x, y); }, a, b);
}
inline __m512 min_ps(__m512 a, __m512 b) {
  return halves([](__m256 x, __m256 y) { return _mm256_min_ps(x, y); }, a, b);
}
inline float reduce_max_ps(__m512 v) {
  const auto a = lanes<float, 16>(v);
  float largest = a.lane[0];
  for (int i = 1; i < 16; ++i) largest = a.lane[i] > largest ? a.lane[i] : largest;
  return largest;
}
inline __m512i madd_epi16(__m512i a, __m512i b) {
  const auto x = lanes<int16_t, 32>(a), y = lanes<int16_t, 32>(b);
  return each<__m512i, int32_t, 16>([&](int i) {
    return static_cast<uint32_t>(x.lane[2 * i] * y.lane[2 * i]) + static_cast<uint32_t>(x.lane[2 * i + 1] * y.lane[2 * i + 1]);
  });
}
inline __m512i srai_epi32(__m512i v, unsigned n) {
  const auto a = lanes<int32_t, 16>(v);
  return each<__m512i, int32_t, 16>([&](int i) { return a.lane[i] >> (n > 31 ? 31 : n); });
}
inline int mask_reduce_add_epi32(unsigned mask, __m512i v) {
  const auto a = lanes<uint32_t, 16>(v);
  uint32_t sum = 0;
  for (int i = 0; i < 16; ++i)
    if (mask >> i & 1) sum += a.lane[i];
  return static_cast<int>(sum);
}
inline __mmask16 cmpneq_epi32_mask(__m512i a, __m512i b) {
  const auto x = lanes<int32_t, 16>(a), y = lanes<int32_t, 16>(b);
  unsigned mask = 0;
  for (int i = 0; i < 16; ++i) mask |= static_cast<unsigned>(x.lane[i] != y.lane[i]) << i;
  return static_cast<__mmask16>(mask);
}

// ---- places
inline __m512 permute_ps(__m512 v, int places) {  // within each four lanes
  const auto a = lanes<float, 16>(v);
  return each<__m512, float, 16>([&](int i) { return a.lane[i / 4 * 4 + (places >> (2 * (i % 4)) & 3)]; });
}
inline __m512 shuffle_f32x4(__m512 v, __m512 w, int places) {  // of fours: two of v, two of w
  const auto a = lanes<__m128, 4>(v), b = lanes<__m128, 4>(w);
  return each<__m512, __m128, 4>([&](int i) { return (i < 2 ? a : b).lane[places >> (2 * i) & 3]; });
}
inline __m256 extractf32x8_ps(__m512 v, int half) { return lanes<__m256, 2>(v).lane[half]; }

// ---- memory: lanes that the mask leaves out are not touched
template <class V, class T, int n>
inline V load_lanes(unsigned mask, const void* p) {
  return each<V, T, n>([&](int i) {
    T value{};
    if (mask >> i & 1) memcpy(&value, static_cast<const T*>(p) + i, sizeof value);
    return value;
  });
}
template <class T, int n, class V>
inline void store_lanes(void* p, unsigned mask, V v) {
  const auto a = lanes<T, n>(v);
  for (int i = 0; i < n; ++i)
    if (mask >> i & 1) memcpy(static_cast<T*>(p) + i, &a.lane[i], sizeof(T));
}

// ---- AVX-VNNI and VNNI
template <class V, int n>
inline V dpbusd(V sum, V bytes, V signed_bytes) {
  const auto s = lanes<uint32_t, n>(sum);
  const auto a = lanes<uint8_t, 4 * n>(bytes);
  const auto b = lanes<int8_t, 4 * n>(signed_bytes);
  return each<V, uint32_t, n>([&](int i) {
    uint32_t r = s.lane[i];
    for (int j = 4 * i; j < 4 * i + 4; ++j) r += static_cast<uint32_t>(a.lane[j] * b.lane[j]);
    return r;
  });
}

// ---- BF16: products of two are exact in a float (but for under- and overflow, where a CPU may differ); the odd one is added
// first, denormal values are zero before and after
inline float flushed(float value) { return value > -0x1p-126f && value < 0x1p-126f ? 0.0f : value; }
template <class Pairs>
inline __m512 dpbf16_ps(__m512 sum, Pairs v, Pairs w) {
  const auto s = lanes<float, 16>(sum);
  const auto a = lanes<uint16_t, 32>(v), b = lanes<uint16_t, 32>(w);
  const auto value = [](uint16_t bits) {
    const uint32_t word = static_cast<uint32_t>(bits) << 16;
    float r;
    memcpy(&r, &word, sizeof r);
    return flushed(r);
  };
  return each<__m512, float, 16>([&](int i) {
    const float odd = flushed(flushed(s.lane[i]) + value(a.lane[2 * i + 1]) * value(b.lane[2 * i + 1]));
    return flushed(odd + value(a.lane[2 * i]) * value(b.lane[2 * i]));
  });
}

}  // namespace carat_emulated

#undef _mm512_fmadd_ps
#undef _mm512_fnmadd_ps
#undef _mm512_max_ps
#undef _mm512_min_ps
#undef _mm512_madd_epi16
#undef _mm512_dpbusd_epi32
#define _mm512_fmadd_ps carat_emulated::fmadd_ps
#define _mm512_fnmadd_ps carat_emulated::fnmadd_ps
#define _mm512_max_ps carat_emulated::max_ps
#define _mm512_min_ps carat_emulated::min_ps
#define _mm512_madd_epi16 carat_emulated::madd_epi16
#define _mm512_dpbusd_epi32 carat_emulated::dpbusd<__m512i, 16>
#undef _mm512_dpbf16_ps
#define _mm512_dpbf16_ps carat_emulated::dpbf16_ps
#define _mm256_dpbusd_avx_epi32 carat_emulated::dpbusd<__m256i, 8>

#undef _mm512_permute_ps
#undef _mm512_extractf32x8_ps
#undef _mm512_shuffle_f32x4
#define _mm512_shuffle_f32x4 carat_emulated::shuffle_f32x4
#undef _mm512_cvtps_ph
#define _mm512_permute_ps carat_emulated::permute_ps
#define _mm512_extractf32x8_ps carat_emulated::extractf32x8_ps
#define _mm512_cvtps_ph(v, rounding) carat_emulated::cvtps_ph<(rounding)>(v)
#define _mm512_cvtph_ps carat_emulated::cvtph_ps
#define _mm512_cvtepi32_ps carat_emulated::cvtepi32_ps
#define _mm512_cvtps_epi32 carat_emulated::cvtps_epi32
#define _mm512_cvtepi32_epi16 carat_emulated::cvtepi32_epi16
#define _mm512_cvtepi8_epi32 carat_emulated::widen<int8_t>
#define _mm512_cvtepu8_epi32 carat_emulated::widen<uint8_t>
#define _mm512_cvtepu16_epi32 carat_emulated::widen<uint16_t>
#define _mm512_srai_epi32 carat_emulated::srai_epi32
#define _mm512_reduce_max_ps carat_emulated::reduce_max_ps
#define _mm512_reduce_add_epi32(v) carat_emulated::mask_reduce_add_epi32(0xffff, v)
#define _mm512_mask_reduce_add_epi32 carat_emulated::mask_reduce_add_epi32
#define _mm512_cmpneq_epi32_mask carat_emulated::cmpneq_epi32_mask
#define _mm512_maskz_loadu_ps carat_emulated::load_lanes<__m512, float, 16>
#define _mm256_maskz_loadu_epi16 carat_emulated::load_lanes<__m256i, uint16_t, 16>
#define _mm512_mask_storeu_ps carat_emulated::store_lanes<float, 16>
#define _mm256_mask_storeu_epi16 carat_emulated::store_lanes<uint16_t, 16>
