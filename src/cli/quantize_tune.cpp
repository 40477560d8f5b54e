// See the header.
#include "cli/quantize_tune.h"

#include "cli/calibration.h"

namespace carat::cli {
namespace {

constexpr size_t kLabTokensToTune = 1 << 20;

}  // namespace

Result<std::vector<std::vector<Token>>> tuning_texts(const Model& model,
                                                     const std::vector<std::string>& files,
                                                     const train::TuneOptions& tuning) {
  std::vector<std::vector<Token>> texts;
  for (CalibrationText& text : TRY(calibration_texts(model, files, kLabTokensToTune)))
    texts.push_back(std::move(text.tokens));
  TRY(train::check_tunable(model, texts, tuning));
  return texts;
}

Result<train::TuneResult> quantize_and_tune(const Model& model, const QuantizeOptions& options,
                                            const std::vector<std::vector<Token>>& texts,
                                            const train::TuneOptions& tuning) {
  OutputFile out = TRY(OutputFile::create_temporary("the file to tune"));
  TRY(quantize(model.file, out, options));
  const auto quantized = TRY(make_model(TRY(gguf::open(TRY(out.map())))));
  return train::tune(model, *quantized, texts, tuning);
}

}  // namespace carat::cli
