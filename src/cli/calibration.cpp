// See the header. The lab's text has a seed of its own: no training run and no test set has seen it.
#include "cli/calibration.h"

#include "base/file.h"
#include "cli/lab_family.h"
#include "lab/language.h"

namespace carat::cli {
namespace {

constexpr uint64_t kLabSeed = 0xca11b;

CalibrationText lab_text(const Tokenizer& tokenizer, size_t n_tokens) {
  const lab::Language language = lab::family_language();
  Random random(kLabSeed);
  CalibrationText text{"lab language", tokenizer.encode("", {})};
  while (text.tokens.size() < n_tokens) {
    const auto tokens = tokenizer.encode(language.draw(random).text(), {.add_bos = false});
    text.tokens.insert(text.tokens.end(), tokens.begin(), tokens.end());
  }
  return text;
}

}  // namespace

Result<std::vector<CalibrationText>> calibration_texts(const Model& model, const std::vector<std::string>& files,
                                                       size_t n_lab_tokens) {
  std::vector<CalibrationText> texts;
  for (const std::string& file : files) {
    const std::string content = TRY(read_file(file));
    texts.push_back({file, model.tokenizer.encode(content, {.parse_special = true})});
  }
  if (!files.empty()) return texts;
  if (!check_speaks_lab(model))
    return fail("{}: which text? Only models of the lab language have one of their own", model.file.path);
  texts.push_back(lab_text(model.tokenizer, n_lab_tokens));
  return texts;
}

}  // namespace carat::cli
