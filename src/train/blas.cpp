// OpenBLAS behind three functions. It is opened at run time: linked in the ordinary way it would start
// threads and cost every carat command some fifteen milliseconds.
#include "train/blas.h"

#include <cblas.h>
#include <dlfcn.h>
#include <stdlib.h>

namespace carat::train {
namespace {

using Sgemm = decltype(&cblas_sgemm);

struct Library {
  Sgemm sgemm = nullptr;
  const char* name = "";
  std::string error;
};

Library open_library() {
  ::setenv("OPENBLAS_NUM_THREADS", "1", 1);  // read when the library starts: no threads of its own
  void* handle = nullptr;
  std::string reasons;
  for (const char* file : {"libopenblas.so.0", "libopenblas.so"}) {
    handle = ::dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (handle != nullptr) break;
    const char* reason = ::dlerror();
    reasons += fmt::format("{}{}", reasons.empty() ? "" : "; ", reason == nullptr ? file : reason);
  }
  Library library;
  if (handle == nullptr) {
    library.error =
        fmt::format("training needs OpenBLAS (Debian: libopenblas0), which cannot be loaded: {}", reasons);
    return library;
  }
  library.sgemm = reinterpret_cast<Sgemm>(::dlsym(handle, "cblas_sgemm"));
  if (library.sgemm == nullptr) library.error = "the OpenBLAS library has no function cblas_sgemm";
  using Name = char* (*)();
  if (const auto config = reinterpret_cast<Name>(::dlsym(handle, "openblas_get_config")))
    library.name = config();
  return library;
}

const Library& library() {
  static const Library opened = open_library();
  return opened;
}

void multiply(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int64_t m, int64_t n, int64_t k, float alpha,
              const float* a, int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc) {
  const Sgemm sgemm = library().sgemm;
  CHECK(sgemm != nullptr);
  if (m == 0 || n == 0) return;
  const auto size = [](int64_t value) {
    CHECK(value >= 0 && value <= INT32_MAX);
    return static_cast<blasint>(value);
  };
  sgemm(CblasRowMajor, ta, tb, size(m), size(n), size(k), alpha, a, size(lda), b, size(ldb), beta, c,
        size(ldc));
}

}  // namespace

Result<void> load_blas() {
  if (library().sgemm == nullptr) return fail("{}", library().error);
  return {};
}

const char* blas_name() { return library().name; }

void multiply_nt(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const float* b,
                 int64_t ldb, float beta, float* c, int64_t ldc) {
  multiply(CblasNoTrans, CblasTrans, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void multiply_nn(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const float* b,
                 int64_t ldb, float beta, float* c, int64_t ldc) {
  multiply(CblasNoTrans, CblasNoTrans, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void multiply_tn(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const float* b,
                 int64_t ldb, float beta, float* c, int64_t ldc) {
  multiply(CblasTrans, CblasNoTrans, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

}  // namespace carat::train
