// quantize --target-size and --target-kld: types for a file that shall have a size, or a divergence.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "eval/allocate.h"
#include "quant/quantize.h"

namespace carat::cli {

struct Target {
  std::optional<uint64_t> bytes;     // of the file, at most
  std::optional<double> divergence;  // nats per token on the calibration text, at most
  int64_t n_chunks = 8;              // of the text, for each probe
  KvType kv = TensorType::F16;       // of the cache that the file will be used with
};

// "5.0G", "512M", "100000": bytes, units of powers of 1024.
Result<uint64_t> parse_size(const std::string& text, std::string_view flag);

// What was decided: for the summary.
struct Decision {
  double expected = 0;  // divergence, if errors of tensors add up
  std::vector<std::pair<std::string, TensorType>> types;
};

// Decides options.assigned. For a divergence, files are written without a name, measured, and corrected until
// one is within the target.
Result<Decision> decide_types(std::shared_ptr<const Model> model, const std::vector<CalibrationText>& texts,
                              const Target& target, QuantizeOptions& options, const Progress& progress);

}  // namespace carat::cli
