// The kernels for machines with AVX2, FMA and F16C.
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/vec_avx2.h"

#include "kernels/cpu/generic/all.inl"

namespace carat {
extern constinit const KernelTable kKernelsAvx2;
constinit const KernelTable kKernelsAvx2 = make_table("avx2");
}  // namespace carat
