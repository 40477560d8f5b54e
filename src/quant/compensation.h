// Error-compensating rounding (GPTQ, Frantar et al. 2022; as LDLQ in QuIP, Chee et al. 2023): the weights of
// a row are rounded one after another, and what each loses is made up for by those that come after it, as
// well as the inputs' second moments H = X^T X / n_tokens say they can. For a row w and its rounded q the
// squared error of the outputs is
//     (w - q) H (w - q)^T = || (w - q) R ||^2    with H = R R^T, R upper triangular.
// Column j of the product sees the errors of columns 0 … j only, so that each weight is rounded to what makes
// its own column smallest given the errors before it.
//
// Scales come from the format's encoder, block by block, run on what the block's weights should be by then:
// with several weightings and a few stretches, and the one whose rounded block costs least is kept. In the
// end single codes are moved while that lowers the whole row's error (coordinate descent).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "tensor/type.h"

namespace carat {

// Second moments, factorized for a format's blocks.
class MomentFactor {
 public:
  // moments [n, n], symmetric, row-major. `damping` times the mean of the diagonal is added to it: a finite
  // sample knows nothing of directions that it did not see (more is added if that is not enough).
  // block_length divides n. Errors: moments that are no numbers.
  static Result<MomentFactor> create(std::span<const float> moments, int64_t n, int64_t block_length,
                                     double damping);

  int64_t n() const { return n_; }
  int64_t block_length() const { return block_; }
  const float* moments_row(int64_t i) const { return h_.data() + i * n_; }
  // Within a block, [block, block]: R's diagonal block. Across: row i of R_PJ R_JJ^-1, the targets that an
  // error in column i moves, for the columns of all later blocks.
  const float* factor_row(int64_t i) const { return r_.data() + i * n_; }
  const float* feedback_row(int64_t i) const { return f_.data() + i * n_; }

 private:
  int64_t n_ = 0, block_ = 0;
  std::vector<float> h_, r_, f_;  // [n, n]
};

// Mean squares of output errors, summed over rows.
struct RoundingError {
  double plain = 0;  // of the format's encoder, with importance
  double compensated = 0;
};

// Rows w [n_rows, n] to blocks of a type with a grid (quant/grid.h).
RoundingError encode_compensated(TensorType type, const float* w, int64_t n_rows, const MomentFactor& factor,
                                 std::byte* blocks, ThreadPool& pool);

}  // namespace carat
