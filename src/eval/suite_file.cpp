// JSON lines into items; the only file of this layer that knows nlohmann-json.
#include "eval/suite_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "model/chat.h"

namespace carat {
namespace {

using Json = nlohmann::json;

struct Piece {
  std::string text;
  bool is_answer;
};

Result<std::string> text_of(const Json& value, std::string_view key) {
  if (!value.is_string()) return fail("\"{}\" is not a string", key);
  return value.get<std::string>();
}

Result<Piece> piece_of(const Json& value) {
  if (value.is_string()) return Piece{value.get<std::string>(), false};
  if (!value.is_object() || value.size() != 1 || !value.contains("answer"))
    return fail("a piece is neither a string nor {{\"answer\": …}}");
  return Piece{TRY(text_of(value["answer"], "answer")), true};
}

// The four kinds of line. "text" and "pieces" are scored throughout, the others from their answer on.
enum class Kind { text, pieces, question, prompt };

Result<Kind> kind_of(const Json& line) {
  if (line.contains("text")) return Kind::text;
  if (line.contains("pieces")) return Kind::pieces;
  if (line.contains("question") && line.contains("answer")) return Kind::question;
  if (line.contains("prompt") && line.contains("answer")) return Kind::prompt;
  return fail("expected \"question\" and \"answer\", \"prompt\" and \"answer\", \"pieces\" or \"text\"");
}

Result<std::vector<Piece>> pieces_of(const Json& line, Kind kind, const Tokenizer& tokenizer, const Config& config) {
  std::vector<Piece> pieces;
  switch (kind) {
    case Kind::text:
      pieces.push_back({TRY(text_of(line["text"], "text")), false});
      break;
    case Kind::pieces:
      if (!line["pieces"].is_array()) return fail("\"pieces\" is not an array");
      for (const Json& value : line["pieces"]) pieces.push_back(TRY(piece_of(value)));
      break;
    case Kind::question: {
      const ChatTurn turns[] = {{ChatTurn::Role::user, TRY(text_of(line["question"], "question"))}};
      pieces.push_back({render_chat(turns, config), false});
      pieces.push_back({TRY(text_of(line["answer"], "answer")), true});
      if (tokenizer.find("<turn|>") >= 0) pieces.push_back({"<turn|>", false});
      break;
    }
    case Kind::prompt:
      pieces.push_back({TRY(text_of(line["prompt"], "prompt")), false});
      pieces.push_back({TRY(text_of(line["answer"], "answer")), true});
      if (line.contains("end")) pieces.push_back({TRY(text_of(line["end"], "end")), false});
      break;
  }
  return pieces;
}

Result<SuiteItem> item_of(const Json& line, const Tokenizer& tokenizer, const Config& config) {
  if (!line.is_object()) return fail("not a JSON object");
  const Kind kind = TRY(kind_of(line));
  SuiteItem item;
  item.category = line.contains("category") ? TRY(text_of(line["category"], "category")) : "all";
  if (tokenizer.bos() >= 0) item.tokens.push_back(tokenizer.bos());
  for (const Piece& piece : TRY(pieces_of(line, kind, tokenizer, config))) {
    std::vector<Token> tokens = tokenizer.encode(piece.text, {.add_bos = false, .parse_special = true});
    const bool repeats_bos = item.tokens.size() == 1 && !tokens.empty() && tokens.front() == tokenizer.bos();
    if (repeats_bos) tokens.erase(tokens.begin());  // the text brought its own
    if (piece.is_answer && tokens.empty()) return fail("an empty answer");
    const int begin = static_cast<int>(item.tokens.size());
    item.tokens.insert(item.tokens.end(), tokens.begin(), tokens.end());
    if (piece.is_answer) item.answers.push_back({begin, static_cast<int>(item.tokens.size())});
  }
  const int n = static_cast<int>(item.tokens.size());
  if (n < 2) return fail("nothing to score");
  if (n > config.context_length) return fail("{} tokens, the model's context is {}", n, config.context_length);
  // The closing token belongs to the answer, unless the next answer begins with it.
  for (size_t a = 0; a < item.answers.size(); ++a) {
    const int limit = a + 1 < item.answers.size() ? item.answers[a + 1].begin : n;
    item.answers[a].end = std::min(item.answers[a].end + 1, limit);
  }
  if (kind == Kind::question || kind == Kind::prompt)
    item.first_scored = item.answers.front().begin;
  if (!item.answers.empty() && item.answers.front().begin < 1) return fail("an answer that nothing precedes");
  return item;
}

}  // namespace

Result<Suite> parse_suite(std::string_view text, std::string_view name, const Tokenizer& tokenizer,
                          const Config& config) {
  Suite suite;
  suite.name = std::string(name);
  int64_t number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    at = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const Json json = Json::parse(line, nullptr, false);
    if (json.is_discarded()) return fail("{}: line {}: not JSON", name, number);
    Result<SuiteItem> item = item_of(json, tokenizer, config);
    if (!item) return fail("{}: line {}: {}", name, number, item.error().message);
    suite.items.push_back(item.take());
  }
  if (suite.items.empty()) return fail("{}: no items", name);
  return suite;
}

Result<Suite> read_suite(const std::string& path, const Tokenizer& tokenizer, const Config& config) {
  const std::string text = TRY(read_file(path));
  return parse_suite(text, path, tokenizer, config);
}

}  // namespace carat
