// Tensor errors: where in the network a quantized file departs from its parent: layer by layer, matrix by matrix.
// What the weights lost, not what it does to the answers: KLD and tasks say that.
#pragma once

#include "eval/eval_report.h"
#include "model/model.h"

namespace carat {

// Looks at up to 32 rows of each matrix, evenly spread. Matrices of one name and shape in both files are compared;
// the rest (fused here, separate there) is left out.
TensorErrors tensor_errors(const Model& model, const Model& parent);

}  // namespace carat
