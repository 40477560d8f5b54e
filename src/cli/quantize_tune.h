// Tuning on behalf of `carat quantize --tune`: layer by layer, and then end to end where memory allows that.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "model/model.h"
#include "quant/quantize.h"
#include "train/tune.h"
#include "train/tune_layers.h"

namespace carat::cli {

struct TuneRequest {
  std::vector<std::vector<Token>> texts;
  std::optional<train::LayerTuneOptions> layers;
  std::optional<train::TuneOptions> whole;
  std::string notice;  // why there is no `whole`, where one was wished for; empty: there is
};

struct Tuned {
  std::optional<train::LayerTuneResult> layers;
  std::optional<train::TuneResult> whole;
  std::string notice;
};
// Puts what was tuned, which outlives the options, into them.
void use(const Tuned& tuned, QuantizeOptions& options);

// What `--tune-by` takes: layers, whole, both.
struct TuneFlags {
  std::string by = "both";
  int64_t n_tokens = 0;  // 0: the default
};

// Texts and options, checked before anything takes time. `both` leaves out what memory is too small for.
Result<TuneRequest> tune_request(const Model& model, const std::vector<std::string>& files,
                                 const TuneFlags& flags, int n_threads, const Progress& progress);

// Quantizes as the options say into a file without a name, and tunes that.
Result<Tuned> quantize_and_tune(const Model& model, const QuantizeOptions& options,
                                const TuneRequest& request);

}  // namespace carat::cli
