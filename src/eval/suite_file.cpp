// JSON lines into items; the only file of this layer that knows nlohmann-json.
#include "eval/suite_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "eval/question.h"
#include "model/chat.h"
#include "model/chat_json.h"

namespace carat {
namespace {

using Json = nlohmann::json;

struct Piece {
  std::vector<Token> tokens;
  bool is_answer;
};

Result<std::string> text_of(const Json& value, std::string_view key) {
  if (!value.is_string()) return fail("\"{}\" is not a string", key);
  return value.get<std::string>();
}

// Text that stands as it is written: control tokens are recognised.
Piece written(const std::string& text, bool is_answer, const Tokenizer& tokenizer) {
  return {tokenizer.encode(text, {.add_bos = false, .parse_special = true}), is_answer};
}

Result<Piece> piece_of(const Json& value, const Tokenizer& tokenizer) {
  if (value.is_string()) return written(value.get<std::string>(), false, tokenizer);
  if (!value.is_object() || value.size() != 1 || !value.contains("answer"))
    return fail("a piece is neither a string nor {{\"answer\": …}}");
  return written(TRY(text_of(value["answer"], "answer")), true, tokenizer);
}

// The kinds of line. "text" and "pieces" are scored throughout, the others from their answer on.
enum class Kind { text, pieces, question, messages, prompt };

std::vector<std::string_view> keys_of(Kind kind) {
  switch (kind) {
    case Kind::text:
      return {"text", "category"};
    case Kind::pieces:
      return {"pieces", "category"};
    case Kind::question:
      return {"question", "answer", "category", "checker"};
    case Kind::messages:
      return {"messages", "tools", "answer", "category", "checker"};
    case Kind::prompt:
      return {"prompt", "answer", "end", "category", "checker"};
  }
  return {};
}

// A misspelt key would be a question asked otherwise than its author thinks.
Result<void> check_keys(const Json& line, Kind kind) {
  const auto known = keys_of(kind);
  for (const auto& [key, value] : line.items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      return fail("unknown key \"{}\"; a line with \"{}\" may have \"{}\"", key, known.front(),
                  fmt::join(known, "\", \""));
  return {};
}

Result<Kind> kind_of(const Json& line) {
  if (line.contains("text")) return Kind::text;
  if (line.contains("pieces")) return Kind::pieces;
  if (line.contains("question") && line.contains("answer")) return Kind::question;
  if (line.contains("messages")) return Kind::messages;
  if (line.contains("prompt") && line.contains("answer")) return Kind::prompt;
  return fail(
      "expected \"question\" and \"answer\", \"messages\", \"prompt\" and \"answer\", \"pieces\" or "
      "\"text\"");
}

// Whether the answer is right or wrong; otherwise its likelihood is all that is judged.
Result<bool> is_exact(const Json& line) {
  if (!line.contains("checker")) return true;
  const std::string checker = TRY(text_of(line["checker"], "checker"));
  if (checker == "exact") return true;
  if (checker == "likelihood") return false;
  return fail(
      "the checker \"{}\" would have to look at a text that the model wrote, and a judgement only reads how "
      "likely the "
      "reference answer is; expected \"exact\" or \"likelihood\"",
      checker);
}

bool has_media(const ChatTurn& turn) {
  const auto* parts = std::get_if<std::vector<ContentPart>>(&turn.content);
  return parts != nullptr && std::ranges::any_of(*parts, [](const ContentPart& part) {
           return part.kind != ContentPart::Kind::text;
         });
}

// The last message as the reference answer.
Result<void> take_answer(Question& question) {
  const ChatTurn answer = std::move(question.turns.back());
  question.turns.pop_back();
  if (!answer.reasoning.empty())
    return fail("the last message has thoughts; answers are judged without thinking");
  if (answer.tool_calls.size() > 1)
    return fail("the last message has {} tool calls; expected one at most", answer.tool_calls.size());
  if (!answer.tool_calls.empty()) {
    question.call = answer.tool_calls.front();
    return {};
  }
  const auto* text = std::get_if<std::string>(&answer.content);
  if (text == nullptr) return fail("the last message, which is the answer, is not one text");
  question.lines = {*text};
  return {};
}

Result<Question> conversation_of(const Json& line, std::string_view text) {
  Conversation conversation = TRY(parse_conversation(TRY(parse_json(text))));
  Question question;
  question.turns = std::move(conversation.turns);
  question.tools = std::move(conversation.tools);
  if (std::ranges::any_of(question.turns, has_media)) return fail("pictures and sound are not judged");
  const bool ends_with_answer =
      !question.turns.empty() && question.turns.back().role == ChatTurn::Role::model;
  if (ends_with_answer == line.contains("answer"))
    return fail("expected one answer: \"answer\", or a last message with the role \"assistant\"");
  if (ends_with_answer)
    TRY(take_answer(question));
  else
    question.lines = {TRY(text_of(line["answer"], "answer"))};
  if (question.turns.empty()) return fail("an answer without a question");
  return question;
}

Result<Question> question_of(const Json& line, Kind kind, std::string_view text) {
  Question question;
  if (kind == Kind::messages) {
    question = TRY(conversation_of(line, text));
  } else {
    question.turns = {{ChatTurn::Role::user, TRY(text_of(line["question"], "question"))}};
    question.lines = {TRY(text_of(line["answer"], "answer"))};
  }
  question.is_exact = TRY(is_exact(line));
  return question;
}

Result<std::vector<Piece>> pieces_of(const Json& line, Kind kind, const Tokenizer& tokenizer) {
  std::vector<Piece> pieces;
  if (kind == Kind::text) {
    pieces.push_back(written(TRY(text_of(line["text"], "text")), false, tokenizer));
  } else if (kind == Kind::pieces) {
    if (!line["pieces"].is_array()) return fail("\"pieces\" is not an array");
    for (const Json& value : line["pieces"]) pieces.push_back(TRY(piece_of(value, tokenizer)));
  } else {
    pieces.push_back(written(TRY(text_of(line["prompt"], "prompt")), false, tokenizer));
    pieces.push_back(written(TRY(text_of(line["answer"], "answer")), true, tokenizer));
    if (line.contains("end")) pieces.push_back(written(TRY(text_of(line["end"], "end")), false, tokenizer));
  }
  return pieces;
}

// BOS and the pieces, with the places of the answers.
Result<SuiteItem> item_of_pieces(const Json& line, Kind kind, const Tokenizer& tokenizer) {
  SuiteItem item;
  const bool exact = TRY(is_exact(line));
  if (tokenizer.bos() >= 0) item.tokens.push_back(tokenizer.bos());
  for (Piece& piece : TRY(pieces_of(line, kind, tokenizer))) {
    std::vector<Token>& tokens = piece.tokens;
    const bool repeats_bos = item.tokens.size() == 1 && !tokens.empty() && tokens.front() == tokenizer.bos();
    if (repeats_bos) tokens.erase(tokens.begin());  // the text brought its own
    if (piece.is_answer && tokens.empty()) return fail("an empty answer");
    const int begin = static_cast<int>(item.tokens.size());
    item.tokens.insert(item.tokens.end(), tokens.begin(), tokens.end());
    if (piece.is_answer) item.answers.push_back({begin, static_cast<int>(item.tokens.size()), exact});
  }
  // The closing token belongs to the answer, unless the next answer begins with it.
  for (size_t a = 0; a < item.answers.size(); ++a) {
    const int limit =
        a + 1 < item.answers.size() ? item.answers[a + 1].begin : static_cast<int>(item.tokens.size());
    item.answers[a].end = std::min(item.answers[a].end + 1, limit);
  }
  if (kind == Kind::prompt) item.first_scored = item.answers.front().begin;
  return item;
}

Result<SuiteItem> item_of(const Json& line, std::string_view text, const Tokenizer& tokenizer,
                          const Config& config) {
  if (!line.is_object()) return fail("not a JSON object");
  const Kind kind = TRY(kind_of(line));
  TRY(check_keys(line, kind));
  const std::string category = line.contains("category") ? TRY(text_of(line["category"], "category")) : "all";
  const bool is_chat = kind == Kind::question || kind == Kind::messages;
  SuiteItem item = is_chat
                       ? TRY(encode_question(TRY(question_of(line, kind, text)), category, tokenizer, config))
                       : TRY(item_of_pieces(line, kind, tokenizer));
  item.category = category;
  const int n = static_cast<int>(item.tokens.size());
  if (n < 2) return fail("nothing to score");
  if (n > config.context_length)
    return fail("{} tokens, the model's context is {}", n, config.context_length);
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
    Result<SuiteItem> item = item_of(json, line, tokenizer, config);
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
