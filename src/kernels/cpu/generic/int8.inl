// The integer products of every quantized type, for objects that bring no more than those.
// clang-format off
#include "kernels/cpu/generic/int8_dots.inl"
#include "kernels/cpu/generic/small_blocks.inl"
#include "kernels/cpu/generic/super_blocks.inl"
