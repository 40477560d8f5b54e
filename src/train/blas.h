// The three matrix products that training needs, in f32, row-major: the only door to OpenBLAS. The library is
// loaded when training starts and kept to one thread: Carat splits the batch over its own threads instead,
// which is faster for the lab's thin matrices and gives the same bits for every thread count.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace carat::train {

// Loads OpenBLAS; must have succeeded once before a product is asked for. May be called again.
Result<void> load_blas();

// "OpenBLAS 0.3.21 … Cooperlake": for reports. Empty before load_blas().
const char* blas_name();

// c [m, n] = alpha * a [m, k] * transpose(b [n, k]) + beta * c. ld…: floats between rows.
void multiply_nt(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const float* b,
                 int64_t ldb, float beta, float* c, int64_t ldc);
// c [m, n] = alpha * a [m, k] * b [k, n] + beta * c
void multiply_nn(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const float* b,
                 int64_t ldb, float beta, float* c, int64_t ldc);
// c [m, n] = alpha * transpose(a [k, m]) * b [k, n] + beta * c
void multiply_tn(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const float* b,
                 int64_t ldb, float beta, float* c, int64_t ldc);

}  // namespace carat::train
