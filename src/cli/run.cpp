// carat run: chat in the terminal, or one completion.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/progress.h"
#include "cli/command.h"
#include "cli/common.h"
#include "cli/line_reader.h"
#include "engine/generate.h"
#include "engine/utf8_stream.h"
#include "model/chat.h"

namespace carat::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Flags {
  std::string file, prompt, system;
  bool json = false, raw = false, ignore_end = false;
  int64_t n_ctx = 4096;
  GenerateOptions generate;
  EngineFlags engine;
};

Json to_json(const Generation& generation, const Tokenizer& tokenizer) {
  return {{"tokens", generation.tokens},
          {"text", tokenizer.decode(generation.tokens)},
          {"stopped", name_of(generation.stopped)},
          {"n_prompt", generation.n_prompt},
          {"prompt_tok_s", generation.prompt_tokens_per_second()},
          {"decode_tok_s", generation.decode_tokens_per_second()}};
}

// One line about speed on stderr, for people.
void print_statistics(const Generation& generation) {
  std::fprintf(stderr, "[%lld prompt tokens at %.1f/s, %zu tokens at %.1f/s, %.1f GB/s of weights; %s]\n",
               static_cast<long long>(generation.n_prompt), generation.prompt_tokens_per_second(),
               generation.tokens.size(), generation.decode_tokens_per_second(),
               generation.decode_bytes_per_second() / 1e9, std::string(name_of(generation.stopped)).c_str());
}

// Generates after `tokens`, printing text as it comes unless JSON is wanted.
Result<Generation> stream(Session& session, std::span<const Token> tokens, const Flags& flags) {
  Utf8Stream utf8;
  auto generation = TRY(session.generate(tokens, flags.generate, [&](Token token) {
    if (!flags.json) print_now(utf8.push(session.model().tokenizer.piece(token)));
    return !output_closed();
  }));
  if (!flags.json) print_now(utf8.flush() + "\n");
  return generation;
}

Result<int> complete(Session& session, const Flags& flags) {
  const Model& model = session.model();
  std::vector<Token> tokens;
  if (flags.raw) {
    tokens = model.tokenizer.encode(flags.prompt, {});
  } else {
    std::vector<ChatTurn> turns;
    if (!flags.system.empty()) turns.push_back({ChatTurn::Role::system, flags.system});
    turns.push_back({ChatTurn::Role::user, flags.prompt});
    tokens = encode_chat(turns, model.config, model.tokenizer);
  }
  const auto generation = TRY(stream(session, tokens, flags));
  if (flags.json) print_line(to_json(generation, model.tokenizer).dump(-1, ' ', false, Json::error_handler_t::replace));
  if (::isatty(2)) print_statistics(generation);
  return interrupted() ? kInterrupted : 0;
}

Result<int> chat(Session& session, const Flags& flags) {
  const Model& model = session.model();
  std::vector<ChatTurn> turns;
  if (!flags.system.empty()) turns.push_back({ChatTurn::Role::system, flags.system});
  const bool terminal = ::isatty(0);
  if (terminal) std::fprintf(stderr, "%s. An empty line or Ctrl-D ends the chat.\n", model.config.name.c_str());
  for (LineReader input;;) {
    if (terminal) std::fprintf(stderr, "> ");
    const auto line = input.next();
    if (interrupted()) return kInterrupted;
    if (!line || line->empty()) return 0;
    turns.push_back({ChatTurn::Role::user, *line});
    const auto tokens = encode_chat(turns, model.config, model.tokenizer);
    const auto generation = TRY(stream(session, tokens, flags));
    if (terminal) print_statistics(generation);
    if (interrupted()) return kInterrupted;
    if (output_closed()) return 0;
    turns.push_back({ChatTurn::Role::model, model.tokenizer.decode(generation.tokens)});
  }
}

Result<int> run(Flags& flags, bool has_prompt) {
  const auto model = TRY(open_model(TRY(local_file(flags.file))));
  flags.generate.stop_at_end = !flags.ignore_end;
  auto session = TRY(Session::create(model, TRY(make_cpu_backend(flags.engine.cpu_options())),
                                     {.n_positions = flags.n_ctx, .kv_type = TRY(flags.engine.kv_type())}));
  return has_prompt ? complete(*session, flags) : chat(*session, flags);
}

}  // namespace

Run add_run(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("file", flags->file, "GGUF file")->required();
  auto* prompt = app.add_option("-p,--prompt", flags->prompt, "answer this and stop (default: chat)");
  app.add_flag("--raw", flags->raw, "continue the prompt as plain text instead of answering it as a chat turn");
  app.add_option("--system", flags->system, "system text of the chat");
  app.add_option("-n", flags->generate.max_tokens, "most tokens to generate (default 512)")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("-c,--ctx", flags->n_ctx, "longest text in tokens (default 4096)")->check(CLI::Range(1, 1 << 20));
  app.add_option("--temp", flags->generate.sampler.temperature, "temperature (default 1; 0: greedy)");
  app.add_option("--top-k", flags->generate.sampler.top_k, "only the k likeliest tokens (default 64; 0: all)");
  app.add_option("--top-p", flags->generate.sampler.top_p, "only the likeliest that reach this (default 0.95)");
  app.add_option("--seed", flags->generate.sampler.seed, "seed of the sampling (default 1)");
  app.add_flag("--ignore-eos", flags->ignore_end, "go on after an end-of-generation token");
  app.add_flag("--json", flags->json, "JSON: tokens, text, speeds");
  flags->engine.add_to(app);
  return [flags, prompt, &app]() -> Result<int> {
    const bool has_prompt = prompt->count() > 0;
    if (!has_prompt) TRY(refuse(app, {"--raw", "--json"}, "is for one completion: give --prompt"));
    if (flags->raw) TRY(refuse(app, {"--system"}, "is part of the chat template, which --raw leaves out"));
    return run(*flags, has_prompt);
  };
}

}  // namespace carat::cli
