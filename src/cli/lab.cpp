// carat lab: the lab family from the outside: its texts, its test items, its recipes.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/progress.h"
#include "cli/command.h"
#include "cli/common.h"
#include "cli/lab_family.h"
#include "lab/family.h"
#include "lab/language.h"

namespace carat::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Flags {
  std::string kind, out;
  int n = 10;
  uint64_t seed = 1;
  bool json = false;
};

Result<void> check_kind(const std::string& kind) {
  if (kind.empty()) return {};
  std::string known;
  for (const auto name : lab::kinds()) {
    if (name == kind) return {};
    known += fmt::format("{}{}", known.empty() ? "" : ", ", name);
  }
  return fail("--kind: '{}' is not a kind of document; expected one of {}", kind, known);
}

Result<int> print_documents(const Flags& flags) {
  TRY(check_kind(flags.kind));
  const lab::Language language = lab::family_language();
  Random random(flags.seed);
  for (int i = 0; i < flags.n && !output_closed(); ++i) {
    if (interrupted()) return kInterrupted;
    const auto document = flags.kind.empty() ? language.draw(random) : language.draw(flags.kind, random);
    if (flags.json) {
      Json pieces = Json::array();
      for (const auto& piece : document.pieces) pieces.push_back({{"text", piece.text}, {"answer", piece.is_answer}});
      print_line(Json{{"kind", document.kind}, {"entropy", document.entropy}, {"pieces", pieces}}.dump());
    } else {
      print_text(document.text());  // ends with a newline
    }
  }
  return 0;
}

// What a run of the family was made with, as the `carat train` line that makes it again.
Result<int> print_recipes() {
  for (const auto& model : lab::family()) {
    print_line(fmt::format("{}: {} parameters, {} layers of {}, vocabulary {}", model.name,
                           lab::n_parameters(model.config), model.config.n_layers(), model.config.dim,
                           model.config.n_vocab));
    for (const auto& run : model.runs) print_line("  " + train_command(run));
  }
  return 0;
}

}  // namespace

Run add_lab(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  auto* text = app.add_subcommand("text", "print documents of the lab language");
  text->add_option("--kind", flags->kind, "one kind of document (default: the training mix)");
  text->add_option("-n", flags->n, "documents (default 10)")->check(CLI::Range(1, 1 << 24));
  text->add_option("--seed", flags->seed, "seed (default 1)");
  text->add_flag("--json", flags->json, "one JSON object per line: kind, entropy in nats, pieces");
  auto* recipes = app.add_subcommand("recipes", "how each shipped model was trained");
  app.require_subcommand(1);
  return [flags, text, recipes]() -> Result<int> {
    if (text->parsed()) return print_documents(*flags);
    CHECK(recipes->parsed());
    return print_recipes();
  };
}

}  // namespace carat::cli
