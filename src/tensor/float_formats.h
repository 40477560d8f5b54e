// The small float formats of GGUF files, converted one number at a time and exactly. Plain integer arithmetic:
// the same bits on every machine. Kernels have their own vector versions, tested equal to these.
#pragma once

#include <bit>
#include <cstdint>

namespace carat {

// IEEE binary16 -> binary32, exact. Without branches, so that loops vectorize: moving the exponent's bits into place
// and multiplying by 2^112 corrects the bias, of subnormals too.
constexpr float f16_to_f32(uint16_t h) {
  const uint32_t magnitude = uint32_t{h & 0x7fffu} << 13;
  const uint32_t finite = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112f);
  const uint32_t special = (h & 0x7c00u) == 0x7c00u ? 0xffffffffu : 0u;  // infinity or NaN
  const uint32_t value = (special & (magnitude | 0x7f800000u)) | (~special & finite);
  return std::bit_cast<float>(value | uint32_t{h & 0x8000u} << 16);
}

// binary32 -> binary16: round to nearest even, gradual underflow, >= 65520 to infinity, NaN to 0x7e00 | sign.
constexpr uint16_t f32_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {  // below the smallest normal, 2^-14: multiples of 2^-24
    if (magnitude < 0x33000000u) return sign;
    const uint32_t exponent = magnitude >> 23;
    const uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    const uint32_t shift = 126 - exponent;  // value = mantissa * 2^(exponent-150); units of 2^-24
    const uint32_t quotient = mantissa >> shift;
    const uint32_t rest = mantissa & ((1u << shift) - 1), half = 1u << (shift - 1);
    const uint32_t up = rest > half || (rest == half && (quotient & 1u)) ? 1 : 0;
    return static_cast<uint16_t>(sign | (quotient + up));
  }
  const uint32_t rebased = magnitude - 0x38000000u;  // exponent bias 127 -> 15
  return static_cast<uint16_t>(sign | ((rebased + 0xfffu + (rebased >> 13 & 1u)) >> 13));
}

constexpr float bf16_to_f32(uint16_t b) { return std::bit_cast<float>(uint32_t{b} << 16); }

// Round to nearest even; NaN stays NaN (made quiet).
constexpr uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

// E2M1 (FP4): the sixteen values doubled, so that they are integers; MXFP4 and NVFP4 halve their scales instead.
inline constexpr int8_t kE2M1Doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// E8M0 scale halved: 2^(e-128), to go with kE2M1Doubled.
constexpr float e8m0_half(uint8_t e) {
  if (e < 2) return std::bit_cast<float>(uint32_t{0x00200000u} << e);
  return std::bit_cast<float>((uint32_t{e} - 1) << 23);
}

// Unsigned E4M3 scale halved. 0 and 0x7f (the NaN code) decode to 0; bit 7 is otherwise ignored.
constexpr float e4m3_half(uint8_t code) {
  if (code == 0 || code == 0x7f) return 0;
  const uint32_t exponent = code >> 3 & 15u, mantissa = code & 7u;
  if (exponent == 0) return static_cast<float>(mantissa) * 0x1p-10f;
  return std::bit_cast<float>((exponent + 119) << 23 | mantissa << 20);
}

// Encodes a non-negative scale to E4M3 as the reference quantizer does: half up, and everything from 248 on
// becomes 448 (0x7e), the reference's quirk (docs/decisions/0002-nvfp4-encoder.md).
constexpr uint8_t f32_to_e4m3(float value) {
  if (!(value > 0)) return 0;
  if (value > 448) return 0x7e;
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const int exponent = static_cast<int>(bits >> 23) - 127 + 7;
  if (exponent <= 0) {
    const int mantissa = static_cast<int>(value * 512 + 0.5f);
    return static_cast<uint8_t>(mantissa > 7 ? 7 : mantissa);
  }
  if (exponent >= 15) return 0x7e;
  const uint32_t rounded = ((bits >> 20 & 7u) | static_cast<uint32_t>(exponent) << 3) + (bits >> 19 & 1u);
  return rounded >= 15 * 8 ? 0x7e : static_cast<uint8_t>(rounded);
}

}  // namespace carat
