// The vector loops compiled for the avx512 instruction set (flags: layer.cmake).
#define INLINE_LAMBDA __attribute__((always_inline))
#include "train/vector_loops.inc"

namespace carat::train {

extern const VectorLoops k_avx512_loops;
constinit const VectorLoops k_avx512_loops = make_loops("avx512");

}  // namespace carat::train
