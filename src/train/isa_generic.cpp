// The vector loops compiled for every machine (SSE2, NEON).
#define INLINE_LAMBDA __attribute__((always_inline))
#include "train/vector_loops.inc"

namespace carat::train {

extern const VectorLoops k_generic_loops;
constinit const VectorLoops k_generic_loops = make_loops("generic");

}  // namespace carat::train
