// The integer products for machines with AVX-VNNI but not AVX-512 (Intel's client processors since 2021). All
// other kernels are inherited from AVX2.
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/vec_avx2.h"

// clang-format off
#include "kernels/cpu/generic/lanes.inl"
#include "kernels/cpu/generic/int8.inl"
#include "kernels/cpu/generic/peak.inl"
#include "kernels/cpu/generic/screen.inl"
// clang-format on

namespace carat {
extern constinit const KernelTable kKernelsAvxVnni;
constinit const KernelTable kKernelsAvxVnni = {
    .name = "avxvnni",
    .quantize_row = quantize_row,
    .screen_rows = screen_rows,
    .peak_int8 = peak_int8,
    .peak_bf16 = peak_f32,
    .peak_f32 = peak_f32,
    .int8_dots =
        {
#define CARAT_FORMAT(format) int8_dots<format>,
            CARAT_INT8_FORMATS(CARAT_FORMAT)
#undef CARAT_FORMAT
        },
};
}  // namespace carat
