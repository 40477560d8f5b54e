// Which multiply-adds a weight's product takes on the CPU: what its speed is to be compared with.
#pragma once

#include <array>
#include <string_view>

#include "kernels/backend.h"

namespace carat {

enum class Arithmetic {
  int8,  // bytes of codes with activations in 8 bits
  bf16,  // weights in BF16 with activations rounded to it where an ISA multiplies it, else widened and multiplied as f32
  f32    // also f16, and every other type after decoding
};
inline constexpr std::array kArithmetics = {Arithmetic::int8, Arithmetic::bf16, Arithmetic::f32};

std::string_view name_of(Arithmetic arithmetic);  // "int8", …

Arithmetic arithmetic_of(TensorType weight, Precision precision);

}  // namespace carat
