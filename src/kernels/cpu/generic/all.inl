// Every algorithm, in the order of use. Included by an ISA's object after its vocabulary.
// clang-format off
#include "kernels/cpu/generic/math.inl"
#include "kernels/cpu/generic/lanes.inl"
#include "kernels/cpu/generic/rows.inl"
#include "kernels/cpu/generic/hadamard.inl"
#include "kernels/cpu/generic/float_dots.inl"
#include "kernels/cpu/generic/float_products.inl"
#include "kernels/cpu/generic/attention.inl"
#include "kernels/cpu/generic/cells.inl"
#include "kernels/cpu/generic/int8.inl"
#include "kernels/cpu/generic/peak.inl"
#include "kernels/cpu/generic/screen.inl"
#include "kernels/cpu/generic/table.inl"
