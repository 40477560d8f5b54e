// Follows the choice of cpu_matmul.cpp.
#include "kernels/arithmetic.h"

#include "kernels/cpu/cpu_backend.h"

namespace carat {

std::string_view name_of(Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::int8:
      return "int8";
    case Arithmetic::bf16:
      return "bf16";
    case Arithmetic::f32:
      return "f32";
  }
  CHECK(false && "every arithmetic has a name");
  return {};
}

Arithmetic arithmetic_of(TensorType weight, Precision precision) {
  if (precision == Precision::exact) return Arithmetic::f32;
  if (weight == TensorType::BF16) return Arithmetic::bf16;
  return int8_format(weight) >= 0 ? Arithmetic::int8 : Arithmetic::f32;
}

}  // namespace carat
