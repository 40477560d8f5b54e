// The twelve bytes of Q4_K and Q5_K that hold eight scales and eight minima of six bits.
//
//   bytes 0 … 3: low six bits scale j, top two bits those of scale j + 4
//   bytes 4 … 7: low six bits minimum j, top two bits those of minimum j + 4
//   bytes 8 … 11: low nibble of scale j + 4 | low nibble of minimum j + 4 << 4
#pragma once

#include <cstdint>

namespace carat {

inline void unpack_six_bit_scales(const uint8_t* packed, uint8_t* scale, uint8_t* minimum) {
  for (int j = 0; j < 4; ++j) {
    scale[j] = packed[j] & 63;
    minimum[j] = packed[j + 4] & 63;
    scale[j + 4] = static_cast<uint8_t>((packed[j + 8] & 15) | packed[j] >> 6 << 4);
    minimum[j + 4] = static_cast<uint8_t>(packed[j + 8] >> 4 | packed[j + 4] >> 6 << 4);
  }
}

inline void pack_six_bit_scales(const uint8_t* scale, const uint8_t* minimum, uint8_t* packed) {
  for (int j = 0; j < 4; ++j) {
    packed[j] = static_cast<uint8_t>(scale[j] | scale[j + 4] >> 4 << 6);
    packed[j + 4] = static_cast<uint8_t>(minimum[j] | minimum[j + 4] >> 4 << 6);
    packed[j + 8] = static_cast<uint8_t>((scale[j + 4] & 15) | (minimum[j + 4] & 15) << 4);
  }
}

}  // namespace carat
