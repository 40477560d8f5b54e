// carat tokenize: token ids of a text, of a conversation, or of a JSON list of them; and how fast that goes.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/command.h"
#include "cli/common.h"
#include "model/chat_json.h"
#include "model/config.h"
#include "model/tokenizer.h"

namespace carat::cli {
namespace {

using Json = nlohmann::json;

struct Flags {
  std::string file, text;
  std::vector<std::string> bench;
  bool json = false, special = false, no_bos = false, batch = false, chat = false, render = false;
};

// What becomes of one text: its ids, or with --render the prompt as text.
class Encoder {
 public:
  static Result<Encoder> open(const gguf::File& file, const Flags& flags) {
    Encoder encoder{TRY(Tokenizer::load(file.metadata)), flags, {}};
    if (flags.chat) encoder.chat_ = chat_options(TRY(read_config(file)));
    return encoder;
  }

  const Tokenizer& tokenizer() const { return tokenizer_; }

  std::vector<Token> encode_text(std::string_view text) const {
    return tokenizer_.encode(text, {.add_bos = !flags_.no_bos, .parse_special = flags_.special});
  }

  Result<Json> encode(const JsonValue& value) const {
    if (!flags_.chat) {
      if (value.text() == nullptr) return fail("not a string");
      return Json(encode_text(*value.text()));
    }
    const auto conversation = TRY(parse_conversation(value));
    const ChatOptions options = conversation.options(chat_);
    if (flags_.render) return Json(render_chat(conversation.turns, options));
    return Json(encode_chat(conversation.turns, options, tokenizer_));
  }

 private:
  Encoder(Tokenizer tokenizer, const Flags& flags, ChatOptions chat)
      : tokenizer_(std::move(tokenizer)), flags_(flags), chat_(chat) {}

  Tokenizer tokenizer_;
  const Flags& flags_;
  ChatOptions chat_;
};

std::string dumped(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

Result<Json> encode_argument(const Encoder& encoder, const Flags& flags) {
  if (!flags.chat) return encoder.encode(flags.text);
  const auto value = parse_json(flags.text);
  auto encoded = value ? encoder.encode(*value) : Result<Json>(value.error());
  if (!encoded) return fail("the conversation: {}", encoded.error().message);
  return encoded;
}

// A JSON list of texts, or of conversations, from standard input; a list of results.
Result<int> encode_batch(const Encoder& encoder) {
  const std::string input{std::istreambuf_iterator<char>(std::cin), {}};
  const auto list = parse_json(input);
  if (!list) return fail("standard input: {}", list.error().message);
  if (list->array() == nullptr) return fail("standard input: expected a JSON list");
  Json all = Json::array();
  for (const JsonValue& value : *list->array()) {
    auto encoded = encoder.encode(value);
    if (!encoded) return fail("standard input: entry {}: {}", all.size(), encoded.error().message);
    all.push_back(encoded.take());
  }
  print_line(dumped(all));
  return 0;
}

// Processor time of this program, whatever else the machine does.
double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// Encodes each file again and again for a second, in this one thread; the fastest round counts.
Result<int> bench(const Encoder& encoder, const Flags& flags, double load_seconds) {
  Json rows = Json::array();
  for (const std::string& path : flags.bench) {
    const auto file = TRY(MappedFile::open(path));
    const std::string_view text(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
    if (text.size() >= UINT32_MAX) return fail("{}: {} bytes, at most 4 GiB can be encoded at once", path, text.size());
    size_t n_tokens = 0;
    double best = 1e9;
    const double begin = cpu_seconds();
    for (int n_rounds = 0; n_rounds < 3 || (n_rounds < 1000 && cpu_seconds() < begin + 1); ++n_rounds) {
      const double round = cpu_seconds();
      n_tokens = encoder.encode_text(text).size();
      best = std::min(best, cpu_seconds() - round);
    }
    const double mb_s = static_cast<double>(text.size()) / 1e6 / std::max(best, 1e-6);
    rows.push_back({{"file", path}, {"bytes", text.size()}, {"tokens", n_tokens}, {"mb_s", mb_s}});
    if (!flags.json)
      print_line(
          fmt::format("{:>8.1f} MB/s  {:>9} bytes  {:>8} tokens  {}", mb_s, text.size(), n_tokens, path));
  }
  if (flags.json)
    print_line(dumped({{"load_ms", load_seconds * 1e3}, {"texts", rows}}));
  else
    print_line(fmt::format("the vocabulary of {} tokens loads in {:.1f} ms", encoder.tokenizer().n_tokens(),
                           load_seconds * 1e3));
  return 0;
}

Result<int> tokenize(const Flags& flags) {
  const auto file = TRY(gguf::open(TRY(local_file(flags.file))));
  const double begin = cpu_seconds();
  const auto encoder = TRY(Encoder::open(file, flags));
  if (!flags.bench.empty()) return bench(encoder, flags, cpu_seconds() - begin);
  if (flags.batch) return encode_batch(encoder);
  const Json encoded = TRY(encode_argument(encoder, flags));
  if (flags.json || encoded.is_string()) {
    print_line(flags.json ? dumped(encoded) : encoded.get<std::string>());
    return 0;
  }
  const Tokenizer& tokenizer = encoder.tokenizer();
  for (const Token token : encoded.get<std::vector<Token>>())
    print_line(fmt::format("{:>7}  {}", token, dumped(Json(std::string(tokenizer.token_text(token))))));
  return 0;
}

}  // namespace

Run add_tokenize(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("file", flags->file, "GGUF file")->required();
  auto* text = app.add_option("text", flags->text, "text to encode");
  app.add_flag("--json", flags->json, "JSON list of ids");
  auto* special =
      app.add_flag("--special", flags->special, "control tokens in the text are tokens, not characters");
  auto* no_bos = app.add_flag("--no-bos", flags->no_bos, "do not put <bos> first");
  auto* batch = app.add_flag("--batch", flags->batch, "read a JSON list of texts from standard input");
  auto* chat = app.add_flag(
      "--chat", flags->chat,
      "the text is a conversation as chat APIs take it: {\"messages\": [...], \"tools\": [...]}");
  app.add_flag("--render", flags->render, "print the prompt of a conversation as text instead of ids")
      ->needs(chat);
  auto* bench = one_each(app.add_option(
      "--bench", flags->bench, "measure how fast this file is encoded, in processor time (repeatable)"));
  chat->excludes(special)->excludes(no_bos);
  text->excludes(batch);
  bench->excludes(text)->excludes(batch)->excludes(chat);
  return [flags, text]() -> Result<int> {
    if (text->count() == 0 && !flags->batch && flags->bench.empty())
      return fail("tokenize: give a text, --batch or --bench");
    return tokenize(*flags);
  };
}

}  // namespace carat::cli
