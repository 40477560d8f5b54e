// carat tokenize: token ids of a text, or of a JSON list of texts.
#include <fmt/format.h>

#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/common.h"
#include "model/tokenizer.h"

namespace carat::cli {
namespace {

struct Flags {
  std::string file, text;
  bool json = false, special = false, no_bos = false, batch = false;
};

Result<int> tokenize_batch(const Tokenizer& tokenizer, const Tokenizer::EncodeOptions& options) {
  const std::string input{std::istreambuf_iterator<char>(std::cin), {}};
  const auto texts = nlohmann::json::parse(input, nullptr, false);
  if (!texts.is_array()) return fail("standard input: expected a JSON list of strings");
  nlohmann::json all = nlohmann::json::array();
  for (const auto& text : texts) {
    if (!text.is_string()) return fail("standard input: expected a JSON list of strings");
    all.push_back(tokenizer.encode(text.get<std::string>(), options));
  }
  print_line(all.dump());
  return 0;
}

Result<int> tokenize(const Flags& flags) {
  const auto file = TRY(gguf::open(TRY(local_file(flags.file))));
  const auto tokenizer = TRY(Tokenizer::load(file.metadata));
  const Tokenizer::EncodeOptions options{.add_bos = !flags.no_bos, .parse_special = flags.special};
  if (flags.batch) return tokenize_batch(tokenizer, options);
  const auto tokens = tokenizer.encode(flags.text, options);
  if (flags.json) {
    print_line(nlohmann::json(tokens).dump());
    return 0;
  }
  for (const Token token : tokens)
    print_line(fmt::format("{:>7}  {}", token, nlohmann::json(std::string(tokenizer.token_text(token)))
                                                   .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
  return 0;
}

}  // namespace

Run add_tokenize(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("file", flags->file, "GGUF file")->required();
  auto* text = app.add_option("text", flags->text, "text to encode");
  app.add_flag("--json", flags->json, "JSON list of ids");
  app.add_flag("--special", flags->special, "control tokens in the text are tokens, not characters");
  app.add_flag("--no-bos", flags->no_bos, "do not put <bos> first");
  auto* batch = app.add_flag("--batch", flags->batch, "read a JSON list of texts from standard input");
  text->excludes(batch);
  return [flags, text]() -> Result<int> {
    if (text->count() == 0 && !flags->batch) return fail("tokenize: give a text, or --batch");
    return tokenize(*flags);
  };
}

}  // namespace carat::cli
