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
#include "model/chat_json.h"
#include "model/chat_output.h"
#include "report/terminal.h"

namespace carat::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Flags {
  std::string file, prompt, system;
  bool json = false, raw = false, ignore_end = false, think = false, repack = false;
  int64_t n_ctx = 4096;
  std::string head = "full";
  GenerateOptions generate;
  EngineFlags engine;
};

void append(const OutputDelta& delta, ChatTurn& turn) {
  turn.reasoning += delta.reasoning;
  std::get<std::string>(turn.content) += delta.content;
  turn.tool_calls.insert(turn.tool_calls.end(), delta.calls.begin(), delta.calls.end());
}

// The answer as the next prompt shows it.
ChatTurn as_turn(const Generation& generation, const Tokenizer& tokenizer) {
  ChatTurn turn{ChatTurn::Role::model, ""};
  turn.is_parsed = true;
  OutputParser parser;
  for (const Token token : generation.tokens) append(parser.push(token, tokenizer), turn);
  append(parser.finish(), turn);
  return turn;
}

Json to_json(const Generation& generation, const Tokenizer& tokenizer, bool raw) {
  Json json = {{"tokens", generation.tokens}, {"text", tokenizer.decode(generation.tokens)}};
  if (!raw) {
    const ChatTurn turn = as_turn(generation, tokenizer);
    json["content"] = std::get<std::string>(turn.content);
    if (!turn.reasoning.empty()) json["reasoning"] = turn.reasoning;
    // As chat APIs have them, so that a client's code for those reads them.
    if (!turn.tool_calls.empty())
      json["tool_calls"] = Json::parse(carat::to_json(to_json_value(turn.tool_calls)));
  }
  json["stopped"] = name_of(generation.stopped);
  json["n_prompt"] = generation.n_prompt;
  json["prompt_tok_s"] = generation.prompt_tokens_per_second();
  json["decode_tok_s"] = generation.decode_tokens_per_second();
  return json;
}

// One line about speed on stderr, for people.
void print_statistics(const Generation& generation) {
  std::fprintf(stderr, "[%lld prompt tokens at %.1f/s, %zu tokens at %.1f/s, %.1f GB/s of weights; %s]\n",
               static_cast<long long>(generation.n_prompt), generation.prompt_tokens_per_second(),
               generation.tokens.size(), generation.decode_tokens_per_second(),
               generation.decode_bytes_per_second() / 1e9, std::string(name_of(generation.stopped)).c_str());
}

// What the screen of the head costs and saves so far.
void print_screen(const Session& session, const Flags& flags) {
  if (flags.head == "screened") std::fprintf(stderr, "[%s]\n", describe_screen(session.forward()).c_str());
}

// Prints an answer as it comes: thoughts dimmed, and on a terminal only; calls with their arguments as JSON.
class AnswerPrinter {
 public:
  explicit AnswerPrinter(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}
  ~AnswerPrinter() {
    if (dimmed_) print_now("\x1b[0m");  // the answer ended in an error
  }
  AnswerPrinter(const AnswerPrinter&) = delete;
  AnswerPrinter& operator=(const AnswerPrinter&) = delete;

  void push(Token token) { print(parser_.push(token, tokenizer_)); }
  void finish() {
    print(parser_.finish());
    print_now(utf8_.flush());
    dim(false);
    print_now("\n");
  }

 private:
  void print(const OutputDelta& delta) {
    if (terminal_ && !delta.reasoning.empty()) {
      dim(true);
      print_now(utf8_.push(delta.reasoning));
    }
    if (!delta.content.empty()) {
      dim(false);
      print_now(utf8_.push(delta.content));
    }
    for (const ToolCall& call : delta.calls) {
      dim(false);
      print_now(fmt::format("call:{}{}\n", call.name, to_json(JsonValue(call.arguments))));
    }
  }

  void dim(bool on) {
    if (dimmed_ == on) return;
    print_now(utf8_.flush() + (on ? "\x1b[2m" : "\x1b[0m\n"));
    dimmed_ = on;
  }

  const Tokenizer& tokenizer_;
  const bool terminal_ = ::isatty(1) != 0;
  OutputParser parser_;
  Utf8Stream utf8_;
  bool dimmed_ = false;
};

// Generates after `tokens`, printing text as it comes unless JSON is wanted.
Result<Generation> stream(Session& session, std::span<const Token> tokens, const Flags& flags) {
  const Tokenizer& tokenizer = session.model().tokenizer;
  Utf8Stream utf8;
  AnswerPrinter answer(tokenizer);
  auto generation = TRY(session.generate(tokens, flags.generate, [&](Token token) {
    if (flags.json) return !output_closed();
    flags.raw ? print_now(utf8.push(tokenizer.piece(token))) : answer.push(token);
    return !output_closed();
  }));
  if (flags.json) return generation;
  flags.raw ? print_now(utf8.flush() + "\n") : answer.finish();
  return generation;
}

ChatOptions options_of(const Model& model, const Flags& flags) {
  ChatOptions options = chat_options(model.config);
  options.think = flags.think;
  return options;
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
    tokens = encode_chat(turns, options_of(model, flags), model.tokenizer);
  }
  const auto generation = TRY(stream(session, tokens, flags));
  if (flags.json)
    print_line(
        to_json(generation, model.tokenizer, flags.raw).dump(-1, ' ', false, Json::error_handler_t::replace));
  if (::isatty(2)) print_statistics(generation);
  if (::isatty(2)) print_screen(session, flags);
  return interrupted() ? kInterrupted : 0;
}

Result<int> chat(Session& session, const Flags& flags) {
  const Model& model = session.model();
  std::vector<ChatTurn> turns;
  if (!flags.system.empty()) turns.push_back({ChatTurn::Role::system, flags.system});
  const bool terminal = ::isatty(0);
  if (terminal)
    std::fprintf(stderr, "%s. An empty line or Ctrl-D ends the chat.\n", model.config.name.c_str());
  for (LineReader input;;) {
    if (terminal) std::fprintf(stderr, "> ");
    const auto line = input.next();
    if (interrupted()) return kInterrupted;
    if (!line || line->empty()) return 0;
    turns.push_back({ChatTurn::Role::user, *line});
    const auto tokens = encode_chat(turns, options_of(model, flags), model.tokenizer);
    const auto generation = TRY(stream(session, tokens, flags));
    if (terminal) print_statistics(generation), print_screen(session, flags);
    if (interrupted()) return kInterrupted;
    if (output_closed()) return 0;
    turns.push_back(as_turn(generation, model.tokenizer));
  }
}

Result<std::unique_ptr<Session>> open_session(const std::shared_ptr<const Model>& model, const Flags& flags) {
  ProgressBar bar;
  return Session::create(model, TRY(make_cpu_backend(flags.engine.cpu_options())),
                         {.n_positions = flags.n_ctx,
                          .kv_type = TRY(flags.engine.kv_type()),
                          .screen_head = flags.head == "screened",
                          .repack = flags.repack,
                          .progress = bar.callback()});
}

Result<int> run(Flags& flags, bool has_prompt) {
  const auto model = TRY(open_model(TRY(local_file(flags.file))));
  flags.generate.stop_at_end = !flags.ignore_end;
  auto session = TRY(open_session(model, flags));
  if (flags.repack && ::isatty(2)) std::fprintf(stderr, "[%s]\n", describe_repacked(session->forward()).c_str());
  return has_prompt ? complete(*session, flags) : chat(*session, flags);
}

}  // namespace

Run add_run(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("file", flags->file, "GGUF file")->required();
  auto* prompt = app.add_option("-p,--prompt", flags->prompt, "answer this and stop (default: chat)");
  app.add_flag("--raw", flags->raw,
               "continue the prompt as plain text instead of answering it as a chat turn");
  app.add_option("--system", flags->system, "system text of the chat");
  app.add_flag("--think", flags->think,
               "let the model think before it answers (thoughts: dimmed, on a terminal)");
  app.add_option("-n", flags->generate.max_tokens, "most tokens to generate (default 512)")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("-c,--ctx", flags->n_ctx, "longest text in tokens (default 4096)")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--temp", flags->generate.sampler.temperature, "temperature (default 1; 0: greedy)");
  app.add_option("--top-k", flags->generate.sampler.top_k,
                 "only the k likeliest tokens (default 64; 0: all)");
  app.add_option("--top-p", flags->generate.sampler.top_p,
                 "only the likeliest that reach this (default 0.95)");
  app.add_option("--seed", flags->generate.sampler.seed, "seed of the sampling (default 1)");
  app.add_flag("--ignore-eos", flags->ignore_end, "go on after an end-of-generation token");
  app.add_flag("--json", flags->json, "JSON: tokens, text, tool calls, speeds");
  add_head_flag(app, flags->head);
  add_repack_flag(app, flags->repack);
  flags->engine.add_to(app);
  return [flags, prompt, &app]() -> Result<int> {
    const bool has_prompt = prompt->count() > 0;
    if (!has_prompt) TRY(refuse(app, {"--raw", "--json"}, "is for one completion: give --prompt"));
    if (flags->raw)
      TRY(refuse(app, {"--system", "--think"}, "is part of the chat template, which --raw leaves out"));
    return run(*flags, has_prompt);
  };
}

}  // namespace carat::cli
