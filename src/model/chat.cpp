// The skeleton of the template (reference sheet 5.2), as text and as tokens.
#include "model/chat.h"

#include <algorithm>
#include <string_view>

#include "base/check.h"
#include "model/special_tokens.h"

namespace carat {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::string_view name_of(ChatTurn::Role role) {
  switch (role) {
    case ChatTurn::Role::system: return "system";
    case ChatTurn::Role::user: return "user";
    case ChatTurn::Role::model: return "model";
  }
  return "";
}

struct Segment {
  std::string text;
  bool is_marker = false;  // stands for one control token where the vocabulary has it
  bool is_models = false;  // the model's own words, tool calls among them
};

std::vector<Segment> segments_of(std::span<const ChatTurn> turns, const Config& config) {
  std::vector<Segment> segments{{"<bos>", true}};
  for (const ChatTurn& turn : turns) {
    CHECK(turn.role != ChatTurn::Role::system || &turn == turns.data());
    segments.push_back({"<|turn>", true});
    segments.push_back({fmt::format("{}\n{}", name_of(turn.role), trimmed(turn.text)), false,
                        turn.role == ChatTurn::Role::model});
    segments.push_back({"<turn|>", true});
    segments.push_back({"\n"});
  }
  segments.push_back({"<|turn>", true});
  segments.push_back({"model\n"});
  if (config.per_layer_dim > 0) return segments;
  segments.push_back({"<|channel>", true});
  segments.push_back({"thought\n"});
  segments.push_back({"<channel|>", true});
  return segments;
}

// The token of a marker; -1: this vocabulary spells it like any other text.
Token marker_token(std::string_view text, const Tokenizer& tokenizer) {
  const Token token = text == "<bos>" ? tokenizer.bos() : tokenizer.find(text);
  const bool spelled = token < 0 || tokenizer.kind(token) == TokenKind::normal ||
                       tokenizer.kind(token) == TokenKind::unused || tokenizer.kind(token) == TokenKind::byte;
  return spelled ? -1 : token;
}

// Where the next user-defined token begins that looks like one of the template's; text.size(): nowhere. They all
// are "<|name>" or "<name|>", or "<|" and "|>" around a sign.
size_t find_user_defined_marker(std::string_view text, const Tokenizer& tokenizer) {
  for (size_t begin = text.find('<'); begin != std::string_view::npos; begin = text.find('<', begin + 1)) {
    const std::string_view window = text.substr(begin, SpecialTokens::kMaxLength);
    const size_t end = window.find('>');
    if (end == std::string_view::npos) continue;
    const std::string_view candidate = window.substr(0, end + 1);
    if (candidate.find('|') == std::string_view::npos) continue;
    const Token token = tokenizer.find(candidate);
    if (token >= 0 && tokenizer.kind(token) == TokenKind::user_defined) return begin;
  }
  return text.size();
}

}  // namespace

std::string render_chat(std::span<const ChatTurn> turns, const Config& config) {
  std::string text;
  for (const Segment& segment : segments_of(turns, config)) text += segment.text;
  return text;
}

std::vector<Token> encode_chat(std::span<const ChatTurn> turns, const Config& config, const Tokenizer& tokenizer) {
  std::vector<Token> tokens;
  std::string content;  // between two control tokens: merges must not notice the segments' borders
  bool is_models = false;
  const auto flush = [&] {
    const auto encoded =
        is_models ? tokenizer.encode(content, {.add_bos = false}) : encode_content(content, tokenizer);
    tokens.insert(tokens.end(), encoded.begin(), encoded.end());
    content.clear();
    is_models = false;
  };
  for (const Segment& segment : segments_of(turns, config)) {
    const Token marker = segment.is_marker ? marker_token(segment.text, tokenizer) : -1;
    if (marker < 0) {
      content += segment.text;
      is_models = is_models || segment.is_models;
      continue;
    }
    flush();
    tokens.push_back(marker);
  }
  flush();
  return tokens;
}

std::vector<Token> encode_content(std::string_view text, const Tokenizer& tokenizer) {
  std::vector<Token> tokens;
  while (!text.empty()) {
    // User-defined tokens are recognised in any text; cut behind its "<", one is none any more.
    const size_t marker = find_user_defined_marker(text, tokenizer);
    const size_t n = std::min(marker + 1, text.size());
    const auto encoded = tokenizer.encode(text.substr(0, n), {.add_bos = false, .parse_special = false});
    tokens.insert(tokens.end(), encoded.begin(), encoded.end());
    text.remove_prefix(n);
  }
  return tokens;
}

}  // namespace carat
