// The vector loops compiled for the avx2 instruction set (flags: layer.cmake).
#define INLINE_LAMBDA __attribute__((always_inline))
#include "train/vector_loops.inc"

namespace carat::train {

extern const VectorLoops k_avx2_loops;
constinit const VectorLoops k_avx2_loops = make_loops("avx2");

}  // namespace carat::train
