// Segments of a conversation as text and as tokens: between two control tokens, text is encoded in one piece.
#include "model/chat.h"

#include <algorithm>
#include <string_view>

#include "model/chat_segments.h"
#include "model/chat_turns.h"
#include "model/special_tokens.h"

namespace carat {
namespace {

// The token of a marker; -1: this vocabulary spells it like any other text.
Token marker_token(std::string_view text, const Tokenizer& tokenizer) {
  const Token token = text == "<bos>" ? tokenizer.bos() : tokenizer.find(text);
  const bool spelled = token < 0 || tokenizer.kind(token) == TokenKind::normal ||
                       tokenizer.kind(token) == TokenKind::unused || tokenizer.kind(token) == TokenKind::byte;
  return spelled ? -1 : token;
}

struct Range {
  size_t begin, end;
};

// The first user-defined token at or after `from` that looks like one of the template's: they all are
// "<|name>" or
// "<name|>", or "<|" and "|>" around a sign. Empty at the end of the text: none.
Range find_user_defined_marker(std::string_view text, size_t from, const Tokenizer& tokenizer) {
  for (size_t begin = text.find('<', from); begin != std::string_view::npos;
       begin = text.find('<', begin + 1)) {
    const std::string_view window = text.substr(begin, SpecialTokens::kMaxLength);
    const size_t end = window.find('>');
    if (end == std::string_view::npos) continue;
    const std::string_view candidate = window.substr(0, end + 1);
    if (candidate.find('|') == std::string_view::npos) continue;
    const Token token = tokenizer.find(candidate);
    if (token >= 0 && tokenizer.kind(token) == TokenKind::user_defined) return {begin, begin + end + 1};
  }
  return {text.size(), text.size()};
}

// Text between two control tokens. Merges must not notice the segments' borders, so it is encoded as one;
// user-defined tokens are recognised in any text, and are meant to be in the model's own words, so elsewhere
// they are cut behind their "<" and are none any more.
class Stretch {
 public:
  void add(const ChatSegment& segment) {
    const size_t begin = text_.size();
    text_ += segment.text;
    if (segment.kind == ChatSegment::Kind::models) models_.push_back({begin, text_.size()});
  }

  void flush(const Tokenizer& tokenizer, std::vector<Token>& tokens) {
    size_t begin = 0;
    const auto encode_up_to = [&](size_t end) {
      const auto encoded =
          tokenizer.encode(std::string_view(text_).substr(begin, end - begin), {.add_bos = false});
      tokens.insert(tokens.end(), encoded.begin(), encoded.end());
      begin = end;
    };
    for (size_t at = 0; at < text_.size();) {
      const Range marker = find_user_defined_marker(text_, at, tokenizer);
      const bool is_models = is_within_models_words(marker);
      at = is_models ? marker.end : std::min(marker.begin + 1, text_.size());
      if (!is_models) encode_up_to(at);
    }
    encode_up_to(text_.size());
    text_.clear();
    models_.clear();
  }

 private:
  bool is_within_models_words(const Range& range) const {
    return std::any_of(models_.begin(), models_.end(), [&](const Range& words) {
      return words.begin <= range.begin && range.end <= words.end;
    });
  }

  std::string text_;
  std::vector<Range> models_;
};

}  // namespace

ChatOptions chat_options(const Config& config) {
  ChatOptions options;
  options.empty_thought = config.per_layer_dim == 0;
  return options;
}

std::string render_chat(std::span<const ChatTurn> turns, const ChatOptions& options) {
  std::string text;
  const Segments segments = render_turns(turns, options);
  for (const ChatSegment& segment : segments.list()) text += segment.text;
  return text;
}

std::vector<Token> encode_chat(std::span<const ChatTurn> turns, const ChatOptions& options,
                               const Tokenizer& tokenizer) {
  std::vector<Token> tokens;
  Stretch stretch;
  const Segments segments = render_turns(turns, options);
  for (const ChatSegment& segment : segments.list()) {
    const Token marker = segment.kind == ChatSegment::Kind::marker ? marker_token(segment.text, tokenizer) : -1;
    if (marker < 0) {
      stretch.add(segment);
      continue;
    }
    stretch.flush(tokenizer, tokens);
    tokens.push_back(marker);
  }
  stretch.flush(tokenizer, tokens);
  return tokens;
}

std::vector<Token> encode_content(std::string_view text, const Tokenizer& tokenizer) {
  std::vector<Token> tokens;
  Stretch stretch;
  stretch.add({ChatSegment::Kind::written, std::string(text)});
  stretch.flush(tokenizer, tokens);
  return tokens;
}

}  // namespace carat
