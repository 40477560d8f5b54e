// See the header.
#include "cli/quantize_tune.h"

#include "cli/calibration.h"
#include "train/blas.h"

namespace carat::cli {
namespace {

constexpr size_t kLabTokensToTune = 1 << 20;

Result<std::shared_ptr<const Model>> quantized(const Model& model, const QuantizeOptions& options) {
  OutputFile out = TRY(OutputFile::create_temporary("the file to tune"));
  TRY(quantize(model.file, out, options));
  return make_model(TRY(gguf::open(TRY(out.map()))));
}

}  // namespace

Result<TuneRequest> tune_request(const Model& model, const std::vector<std::string>& files,
                                 const TuneFlags& flags, int n_threads, const Progress& progress) {
  TRY(train::load_blas());
  TuneRequest request;
  for (CalibrationText& text : TRY(calibration_texts(model, files, kLabTokensToTune)))
    request.texts.push_back(std::move(text.tokens));
  if (flags.by != "whole") {
    request.layers.emplace();
    request.layers->n_threads = n_threads;
    request.layers->progress = progress;
    if (flags.n_tokens > 0)  // what is read end to end need not be read layer by layer
      request.layers->n_tokens =
          flags.by == "layers" ? flags.n_tokens : std::min(request.layers->n_tokens, flags.n_tokens);
    TRY(train::check_layers_tunable(model, request.texts, *request.layers));
  }
  if (flags.by == "layers") return request;
  train::TuneOptions whole;
  if (flags.n_tokens > 0) whole.n_tokens = flags.n_tokens;
  whole.n_threads = n_threads;
  whole.progress = progress;
  if (const auto checked = train::check_tunable(model, request.texts, whole); checked)
    request.whole = whole;
  else if (flags.by == "whole")
    return fail("{}", checked.error().message);
  else
    request.notice = checked.error().message;  // texts were good enough for layers: it is memory
  return request;
}

void use(const Tuned& tuned, QuantizeOptions& options) {
  const auto put = [&](const std::vector<train::TunedTensor>& tensors) {
    for (const train::TunedTensor& tensor : tensors)
      options.encoded.insert_or_assign(tensor.name, std::span<const std::byte>(tensor.bytes));
  };
  if (tuned.layers) put(tuned.layers->tensors);
  if (tuned.whole) put(tuned.whole->tensors);  // they went on from those
}

Result<Tuned> quantize_and_tune(const Model& model, const QuantizeOptions& options,
                                const TuneRequest& request) {
  Tuned tuned;
  tuned.notice = request.notice;
  QuantizeOptions now = options;
  if (request.layers) {
    tuned.layers =
        TRY(train::tune_layers(model, *TRY(quantized(model, now)), request.texts, *request.layers));
    use(tuned, now);
  }
  if (request.whole)
    tuned.whole = TRY(train::tune(model, *TRY(quantized(model, now)), request.texts, *request.whole));
  return tuned;
}

}  // namespace carat::cli
