// Quantizing a model with error compensation: texts go through it, the second moments of each matrix's inputs
// are collected, and the matrix is rounded by them (quant/compensation.h). The result goes into quantize() as
// tensors that are encoded already.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "eval/importance.h"
#include "model/model.h"
#include "quant/compensation.h"
#include "quant/quantize.h"

namespace carat {

struct CompensateOptions {
  CalibrationOptions calibration;
  bool keep_lattices = false;  // as QuantizeOptions': such tensors are left to the encoder
  double damping = 0.01;       // of the moments' mean diagonal
  double table_damping = 0.3;  // the same for an output head that is the embedding table, too
  // A layer's moments are collected behind the layers before it as they were quantized, so that it makes up
  // for their errors, too: a pass over the texts for each layer instead of one for as many tensors as fit the
  // memory. No better in what was measured (docs/decisions/0016).
  bool sequential = false;
  uint64_t moment_bytes = uint64_t{2} << 30;  // kept at a time; a single tensor may need more
};

struct CompensatedTensor {
  std::string name;
  TensorType type;
  std::vector<std::byte> blocks;
  std::vector<float> scales;  // of the whole matrices (NVFP4), one each; empty: none
  std::string scale_name;     // of the tensor that holds them
  RoundingError error;
};

// The tensors that `types` (plan_types() of the model's file, in file order) turns from floats into a type
// with a grid and that multiply something in the network (of the embedding tables: one that is the output
// head, too). Errors: those of observe_inputs(), and inputs that are no numbers.
Result<std::vector<CompensatedTensor>> compensate(std::shared_ptr<const Model> model,
                                                  std::span<const TensorType> types,
                                                  std::span<const CalibrationText> texts,
                                                  const CompensateOptions& options);

// Options that put the tensors, which outlive them, into a file.
void use(const std::vector<CompensatedTensor>& tensors, QuantizeOptions& options);

}  // namespace carat
