// The kernels for machines with AVX-512 (F, BW, DQ, VL) and VNNI.
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/vec_avx512.h"

#include "kernels/cpu/generic/all.inl"

namespace carat {
extern constinit const KernelTable kKernelsAvx512Vnni;
constinit const KernelTable kKernelsAvx512Vnni = make_table("avx512vnni");
}  // namespace carat
