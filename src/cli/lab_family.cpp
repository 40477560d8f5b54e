// Glue between lab (which knows no judge and no trainer) and the commands.
#include "cli/lab_family.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "lab/suite.h"
#include "tensor/type.h"

namespace carat::cli {

std::string train_command(const lab::TrainingRun& run) {
  return fmt::format("carat train models/{} --recipe", run.file);
}

Suite lab_suite(const Tokenizer& tokenizer, uint64_t seed, int n_per_kind) {
  Suite suite;
  suite.name = fmt::format("lab language, seed {}, {} documents per kind", seed, n_per_kind);
  for (auto& item : lab::test_items(lab::family_language(), tokenizer, seed, n_per_kind)) {
    SuiteItem converted{.category = std::move(item.category),
                        .tokens = std::move(item.tokens),
                        .answers = {},
                        .first_scored = item.first_scored,
                        .entropy = item.entropy};
    for (const auto& span : item.answers) converted.answers.push_back({span.begin, span.end});
    suite.items.push_back(std::move(converted));
  }
  return suite;
}

Result<void> check_speaks_lab(const Model& model) {
  static const Tokenizer expected = Tokenizer::load(lab::family_vocabulary()).take();
  const Tokenizer& own = model.tokenizer;
  const auto refuse = [&](const std::string& difference) {
    return fail("{}: its vocabulary is not the lab's ({}): --suite lab judges only models of the lab language",
                model.file.path, difference);
  };
  if (own.n_tokens() != expected.n_tokens())
    return refuse(fmt::format("{} tokens instead of {}", own.n_tokens(), expected.n_tokens()));
  for (Token token = 0; token < expected.n_tokens(); ++token)
    if (own.token_text(token) != expected.token_text(token))
      return refuse(fmt::format("token {} is '{}' instead of '{}'", token, own.token_text(token), expected.token_text(token)));
  // Equal tokens can still be merged in another order.
  constexpr int kDocuments = 20;
  if (lab_suite(own, lab::kTestSeed, kDocuments).hash() != lab_suite(expected, lab::kTestSeed, kDocuments).hash())
    return refuse("the same text becomes other tokens");
  return {};
}

Result<std::string> find_models_folder() {
  namespace fs = std::filesystem;
  if (const char* folder = std::getenv("CARAT_MODELS"); folder != nullptr && *folder != '\0') return std::string(folder);
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  const fs::path candidates[] = {"models", program.parent_path() / "../../models", program.parent_path() / "models",
                                 program.parent_path() / "../share/carat/models"};
  for (const fs::path& folder : candidates)
    if (fs::exists(folder / "lab-s.gguf", error)) return folder.lexically_normal().string();
  return fail("lab models not found: expected models/lab-s.gguf here or beside the program, or CARAT_MODELS to name "
              "their folder");
}

}  // namespace carat::cli
