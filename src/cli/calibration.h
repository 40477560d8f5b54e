// Texts that calibrate a quantization, as commands take them: files, or the lab's own text for models that
// speak it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "eval/importance.h"

namespace carat::cli {

// The files as tokens, special tokens in them read as such. Without files: text of the lab language, if that
// is the model's, about n_lab_tokens of it; otherwise an error that asks for a file.
inline constexpr size_t kLabTokens = 128 * 512;
Result<std::vector<CalibrationText>> calibration_texts(const Model& model, const std::vector<std::string>& files,
                                                       size_t n_lab_tokens = kLabTokens);

}  // namespace carat::cli
