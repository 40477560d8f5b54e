// What the block formats share: fields of a block, and the reference encoders' ways to round.
// Block structs are made of bytes, so that a block may stand at any address.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "quant/lanes.h"
#include "tensor/float_formats.h"

namespace carat {

static_assert(std::endian::native == std::endian::little, "blocks are read as they lie in the file");

inline uint16_t load_u16(const uint8_t* p) {
  uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline void store_u16(uint8_t* p, uint16_t v) { std::memcpy(p, &v, sizeof v); }

inline uint32_t load_u32(const uint8_t* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline void store_u32(uint8_t* p, uint32_t v) { std::memcpy(p, &v, sizeof v); }

inline float load_f16(const uint8_t* p) { return f16_to_f32(load_u16(p)); }
inline void store_f16(uint8_t* p, float v) { store_u16(p, f32_to_f16(v)); }

// As nearest() of lanes.h, for one number.
inline int nearest(float v) {
  return static_cast<int>(std::bit_cast<uint32_t>(v + 12582912.0f) & 0x7fffffu) - 0x400000;
}

// v truncated to an integer, at most `top`; 0 if v is negative, NaN or beyond any code (top + 2): that
// happens where the inverse of a subnormal scale overflows, and is what x86 makes of it.
inline I32x4 truncate_to_code(F32x4 v, int top) {
  const float beyond = static_cast<float>(top + 2);
  const I32x4 valid = (v >= 0.0f) & (v < beyond);
  return min(__builtin_convertvector(select(valid, v, splat(0.0f)), I32x4), splat(top));
}

// Largest magnitude of x[n], n a multiple of 4; NaNs are ignored.
inline float largest_magnitude(const float* x, int n) {
  F32x4 largest = splat(0.0f);
  for (int i = 0; i < n; i += kLanes) largest = max(abs(load4(x + i)), largest);
  float result = 0;
  for (int lane = 0; lane < kLanes; ++lane) result = largest[lane] > result ? largest[lane] : result;
  return result;
}

// The first element with the largest magnitude, with its sign; 0 if all are 0 (or NaN).
inline float signed_extreme(const float* x, int n) {
  const float magnitude = largest_magnitude(x, n);
  if (magnitude == 0) return 0;
  for (int i = 0; i < n; ++i)
    if (std::fabs(x[i]) == magnitude) return x[i];
  return 0;
}

}  // namespace carat
