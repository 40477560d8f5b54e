// Any bytes as a conversation, as JSON and by construction: it is refused in one line, or rendered; the
// tokens spell the rendering, and as many of them are control tokens as the template has markers, whatever
// anybody wrote.
#include <algorithm>
#include <cstdint>
#include <string>

#include "model/chat_json.h"
#include "model/chat_turns.h"
#include "model/vocabulary.h"

namespace {

using namespace carat;

const Tokenizer& tokenizer() {
  static const Tokenizer loaded = [] {
    gguf::Metadata metadata;
    describe(sample_vocabulary(600), metadata);
    return Tokenizer::load(metadata).take();
  }();
  return loaded;
}

// Instructions are read off the input's bytes; texts are slices of it, or what an attacker would write.
class Builder {
 public:
  Builder(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  Conversation conversation() {
    Conversation out;
    out.think = below(2) != 0;
    out.preserve_thinking = below(2) != 0;
    out.open_answer = below(4) != 0;
    for (size_t n = below(3); n > 0; --n) out.tools.push_back(value(4));
    for (size_t n = below(8); n > 0; --n) out.turns.push_back(turn());
    return out;
  }

 private:
  size_t below(size_t n) { return (at_ < size_ ? data_[at_++] : 0) % n; }

  std::string text() {
    static constexpr const char* kAttacks[] = {
        "<turn|>", "<|turn>model\n", "<|channel>",   "<channel|>",       "<|\"|>", "<bos>",
        "<eos>",   "<|tool_call>",   "<tool_call|>", "<|tool_response>", "<",      "|"};
    std::string out;
    for (size_t n = below(5); n > 0; --n) {
      if (below(2) != 0) {
        out += kAttacks[below(std::size(kAttacks))];
      } else {
        const size_t wanted = below(20);  // takes a byte itself: before what is left is counted
        const size_t length = std::min(wanted, size_ - at_);
        out.append(reinterpret_cast<const char*>(data_) + at_, length);
        at_ += length;
      }
    }
    return out;
  }

  std::string key() {
    static constexpr const char* kKeys[] = {"function",   "name",     "description", "parameters",
                                            "properties", "type",     "items",       "required",
                                            "enum",       "nullable", "response"};
    return below(4) == 0 ? text() : kKeys[below(std::size(kKeys))];
  }

  JsonValue value(int depth) {
    switch (below(depth > 0 ? 8 : 5)) {
      case 0:
        return JsonValue();
      case 1:
        return below(2) != 0;
      case 2:
        return static_cast<int64_t>(below(256)) - 128;
      case 3:
        return static_cast<double>(below(256)) / 16;
      case 4:
        return text();
      case 5: {
        JsonValue::Array items;
        for (size_t n = below(4); n > 0; --n) items.push_back(value(depth - 1));
        return items;
      }
      default:
        return object(depth - 1);
    }
  }

  JsonValue::Object object(int depth) {
    JsonValue::Object members;
    for (size_t n = below(6); n > 0; --n) {
      std::string name = key();
      members.emplace_back(std::move(name), value(depth));
    }
    drop_repeated(members);
    return members;
  }

  ChatTurn turn() {
    ChatTurn turn;
    turn.role = static_cast<ChatTurn::Role>(below(5));
    switch (below(4)) {
      case 0: {
        std::vector<ContentPart> parts;
        for (size_t n = below(4); n > 0; --n)
          parts.push_back({static_cast<ContentPart::Kind>(below(4)), text()});
        turn.content = std::move(parts);
        break;
      }
      case 1:
        turn.content = ToolResult{value(3)};
        break;
      default:
        turn.content = text();
    }
    if (below(2) != 0) turn.reasoning = text();
    if (below(3) == 0)
      for (size_t n = 1 + below(2); n > 0; --n) turn.tool_calls.push_back({text(), text(), object(3)});
    if (below(3) == 0) turn.tool_call_id = text();
    if (below(3) == 0) turn.name = text();
    return turn;
  }

  const uint8_t* data_;
  size_t size_, at_ = 0;
};

// U+2581 in a text comes back as a space.
std::string with_spaces(std::string_view text) {
  constexpr std::string_view kSpace = "\u2581";
  std::string out;
  for (size_t at; (at = text.find(kSpace)) != std::string_view::npos; text.remove_prefix(at + kSpace.size()))
    (out += text.substr(0, at)) += ' ';
  return out += text;
}

void check_tokens(const Conversation& conversation, bool empty_thought) {
  ChatOptions options;
  options.empty_thought = empty_thought;
  options = conversation.options(options);
  const auto is_marker = [](Token token) {
    const TokenKind kind = tokenizer().kind(token);
    return kind == TokenKind::control || kind == TokenKind::user_defined;
  };
  const Segments segments = render_turns(conversation.turns, options);
  int64_t n_markers = 0;
  std::string text;
  bool has_models_words = false;
  for (const ChatSegment& segment : segments.list()) {
    const bool is_token = segment.kind == ChatSegment::Kind::marker && tokenizer().find(segment.text) >= 0;
    n_markers += is_token ? 1 : 0;
    has_models_words = has_models_words || segment.kind == ChatSegment::Kind::models;
    text += segment.text;
  }
  CHECK(render_chat(conversation.turns, options) == text);
  const auto tokens = encode_chat(conversation.turns, options, tokenizer());
  // In its own words the model may call tools.
  if (!has_models_words) CHECK(std::count_if(tokens.begin(), tokens.end(), is_marker) == n_markers);
  for (const char* control : {"<bos>", "<|turn>", "<turn|>", "<eos>", "<|tool>", "<|tool_response>"}) {
    const int64_t n =
        std::count_if(segments.list().begin(), segments.list().end(), [&](const ChatSegment& segment) {
          return segment.kind == ChatSegment::Kind::marker && segment.text == control;
        });
    CHECK(std::count(tokens.begin(), tokens.end(), tokenizer().find(control)) == n);
  }
  CHECK(with_spaces(tokenizer().decode(tokens, true)) == with_spaces(text));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  size = std::min<size_t>(size, 4000);
  check_tokens(Builder(data, size).conversation(), size % 2 == 0);
  const auto json = parse_json({reinterpret_cast<const char*>(data), size});
  if (!json) {
    CHECK(!json.error().message.empty());
    return 0;
  }
  CHECK(parse_json(to_json(*json)));
  if (const auto conversation = parse_conversation(*json))
    check_tokens(*conversation, true);
  else
    CHECK(!conversation.error().message.empty());
  return 0;
}
