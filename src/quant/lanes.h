// Four floats side by side, for the encoders. Reference encoders add up in index order, so one block cannot
// be summed in parallel; four blocks can. These are the compilers' portable vector types: the baseline CPU's
// 128 bits, and the same bits on every machine.
#pragma once

#include <cstdint>
#include <cstring>

namespace carat {

inline constexpr int kLanes = 4;
using F32x4 = float __attribute__((vector_size(16)));
using I32x4 = int32_t __attribute__((vector_size(16)));  // also the masks: 0 or -1 per lane

inline F32x4 splat(float v) { return F32x4{v, v, v, v}; }
inline I32x4 splat(int32_t v) { return I32x4{v, v, v, v}; }

inline F32x4 load4(const float* p) {
  F32x4 v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline void store4(float* p, F32x4 v) { std::memcpy(p, &v, sizeof v); }

inline I32x4 bits_of(F32x4 v) { return reinterpret_cast<I32x4>(v); }
inline F32x4 from_bits(I32x4 v) { return reinterpret_cast<F32x4>(v); }
inline F32x4 to_float(I32x4 v) { return __builtin_convertvector(v, F32x4); }

inline F32x4 select(I32x4 mask, F32x4 a, F32x4 b) {
  return from_bits((mask & bits_of(a)) | (~mask & bits_of(b)));
}
inline I32x4 select(I32x4 mask, I32x4 a, I32x4 b) { return (mask & a) | (~mask & b); }

// Where a is NaN, these yield b.
inline F32x4 min(F32x4 a, F32x4 b) { return a < b ? a : b; }
inline F32x4 max(F32x4 a, F32x4 b) { return a > b ? a : b; }
inline I32x4 min(I32x4 a, I32x4 b) { return a < b ? a : b; }
inline I32x4 max(I32x4 a, I32x4 b) { return a > b ? a : b; }
inline F32x4 abs(F32x4 v) { return from_bits(bits_of(v) & 0x7fffffff); }

inline bool any(I32x4 mask) { return (mask[0] | mask[1] | mask[2] | mask[3]) != 0; }

// To the nearest integer, half to even, as the reference encoders do it: exact for |v| <= 4194303, some
// integer of 23 bits otherwise (infinities: the lowest; NaN: 0 or the lowest), never undefined.
inline I32x4 nearest(F32x4 v) { return (bits_of(v + 12582912.0f) & 0x7fffff) - 0x400000; }

}  // namespace carat
