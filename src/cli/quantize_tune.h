// `carat quantize --tune`: which texts, and the passes from a file that is quantized to a better one of the
// same size.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "quant/quantize.h"
#include "train/tune.h"

namespace carat::cli {

// The files' tokens, or for a model of the lab language a million tokens of it. Errors, before hours of work
// are begun: those of calibration_texts() and train::check_tunable().
Result<std::vector<std::vector<Token>>> tuning_texts(const Model& model,
                                                     const std::vector<std::string>& files,
                                                     const train::TuneOptions& tuning);

// What `options` make of the model, without a name, and tuned towards the model.
Result<train::TuneResult> quantize_and_tune(const Model& model, const QuantizeOptions& options,
                                            const std::vector<std::vector<Token>>& texts,
                                            const train::TuneOptions& tuning);

}  // namespace carat::cli
