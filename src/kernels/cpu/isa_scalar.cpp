// The kernels for any machine.
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/vec_scalar.h"

#include "kernels/cpu/generic/all.inl"

namespace carat {
extern constinit const KernelTable kKernelsScalar;
constinit const KernelTable kKernelsScalar = make_table("scalar");
}  // namespace carat
