// Norms of heads with their rotary embedding; the loops are in vector_loops.inc.
#include "train/ops_norm.h"

#include <cmath>

#include "train/vector_loops.h"

namespace carat::train {

RopeTable::RopeTable(double theta, int64_t head_dim, int64_t length, const float* divisors) {
  const int64_t half = head_dim / 2;
  cosine.resize(static_cast<size_t>(half * length));
  sine.resize(cosine.size());
  for (int64_t i = 0; i < half; ++i) {
    const double divisor = divisors == nullptr ? 1.0 : static_cast<double>(divisors[i]);
    const double frequency =
        std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim)) / divisor;
    for (int64_t position = 0; position < length; ++position) {
      const double angle = frequency * static_cast<double>(position);
      cosine[static_cast<size_t>(position * half + i)] = static_cast<float>(std::cos(angle));
      sine[static_cast<size_t>(position * half + i)] = static_cast<float>(std::sin(angle));
    }
  }
}

void head_norm(const float* x, const float* weight, const RopeTable* rope, const HeadShape& shape, float eps,
               float* y, float* inverse) {
  const VectorLoops& loops = vector_loops();
  loops.rms_norm(x, weight, shape.n_tokens * shape.n_heads, shape.head_dim, eps, y, inverse);
  if (rope == nullptr) return;
  loops.rotate(y, shape.n_tokens, shape.length, shape.n_heads, shape.head_dim, rope->cosine.data(),
               rope->sine.data(), 1);
}

void head_norm_backward(const float* x, const float* weight, const RopeTable* rope, const float* inverse,
                        const HeadShape& shape, bool accumulate, float* dy, float* dx, float* dweight) {
  const VectorLoops& loops = vector_loops();
  if (rope != nullptr)
    loops.rotate(dy, shape.n_tokens, shape.length, shape.n_heads, shape.head_dim, rope->cosine.data(),
                 rope->sine.data(), -1);
  loops.rms_norm_backward(x, weight, inverse, dy, shape.n_tokens * shape.n_heads, shape.head_dim, accumulate,
                          dx, dweight);
}

}  // namespace carat::train
