// A recursive-descent parser with a limit on depth. The text may end anywhere: then what is open closes by
// itself and the call is marked as incomplete.
#include "model/tool_call_syntax.h"

#include <optional>
#include <string>

#include "model/python_text.h"

namespace carat {
namespace {

constexpr std::string_view kQuote = "<|\"|>";

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<ParsedCall> call() {
    skip_space();
    if (!take("call:")) {
      // The first letters of "call:" may be all there is.
      if (std::string_view("call:").starts_with(rest())) return ParsedCall{};
      return fail("a tool call that does not begin with call:");
    }
    const size_t open = rest().find('{');
    ParsedCall parsed;
    parsed.call.name = std::string(python_strip(rest().substr(0, open)));
    if (open == std::string_view::npos) return parsed;
    at_ += open + 1;
    parsed.call.arguments = TRY(members(1));
    skip_space();
    if (!cut_ && !rest().empty()) return fail("a tool call with text behind its closing brace");
    parsed.complete = !cut_;
    return parsed;
  }

 private:
  std::string_view rest() const { return text_.substr(at_); }
  bool at_end() const { return at_ == text_.size(); }

  void skip_space() {
    const std::string_view stripped = rest();
    const size_t n = stripped.find_first_not_of(" \t\r\n");
    at_ = n == std::string_view::npos ? text_.size() : at_ + n;
  }

  bool take(std::string_view word) {
    if (!rest().starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  // After the opening brace, to behind the closing one. A key that comes again is looked for once all are
  // there: a search for each would be quadratic, in a text that a model writes.
  Result<JsonValue::Object> members(int depth) {
    auto object = TRY(all_members(depth));
    drop_repeated(object);
    return object;
  }

  Result<JsonValue::Object> all_members(int depth) {
    if (depth > JsonValue::kMaxDepth)
      return fail("a tool call that is nested deeper than {}", JsonValue::kMaxDepth);
    JsonValue::Object object;
    while (true) {
      skip_space();
      if (take("}")) return object;
      if (at_end()) return cut_ = true, object;
      if (take(",")) continue;
      const auto name = TRY(key());
      if (!name) return cut_ = true, object;
      auto item = TRY(value(depth));
      if (item) object.emplace_back(std::move(*name), std::move(*item));
      if (cut_) return object;
    }
  }

  Result<JsonValue::Array> items(int depth) {
    if (depth > JsonValue::kMaxDepth)
      return fail("a tool call that is nested deeper than {}", JsonValue::kMaxDepth);
    JsonValue::Array array;
    while (true) {
      skip_space();
      if (take("]")) return array;
      if (at_end()) return cut_ = true, array;
      if (take(",")) continue;
      auto item = TRY(value(depth));
      if (item) array.push_back(std::move(*item));
      if (cut_) return array;
    }
  }

  // Up to behind the colon; nothing: the text ends before it.
  Result<std::optional<std::string>> key() {
    std::string name;
    if (take(kQuote)) {
      name = quoted_text();
    } else if (rest().starts_with('"')) {
      name = TRY(json_text());
    } else {
      const size_t end = rest().find_first_of(":,{}[]");
      name = std::string(python_strip(rest().substr(0, end)));
      at_ = end == std::string_view::npos ? text_.size() : at_ + end;
    }
    skip_space();
    if (at_end()) return std::optional<std::string>();
    if (!take(":")) return fail("a tool call with a key that no colon follows");
    return std::optional(std::move(name));
  }

  // Nothing: the text ends before the value.
  Result<std::optional<JsonValue>> value(int depth) {
    skip_space();
    if (at_end()) return cut_ = true, std::optional<JsonValue>();
    if (take("{")) return std::optional<JsonValue>(TRY(members(depth + 1)));
    if (take("[")) return std::optional<JsonValue>(TRY(items(depth + 1)));
    if (take(kQuote)) return std::optional<JsonValue>(quoted_text());
    if (rest().starts_with('"')) return std::optional<JsonValue>(TRY(json_text()));
    auto word = TRY(bare_word());
    if (cut_) return std::optional<JsonValue>();  // there might have been more digits
    return std::optional(std::move(word));
  }

  // After the opening quote, to behind the closing one. Nothing is escaped in between.
  std::string quoted_text() {
    const size_t end = rest().find(kQuote);
    std::string text(rest().substr(0, end));
    if (end == std::string_view::npos) {
      cut_ = true;
      at_ = text_.size();
      // Of the closing quote some letters may be there.
      for (size_t n = kQuote.size() - 1; n > 0; --n)
        if (text.ends_with(kQuote.substr(0, n))) return text.substr(0, text.size() - n);
      return text;
    }
    at_ += end + kQuote.size();
    return text;
  }

  // "…" with JSON's escapes.
  Result<std::string> json_text() {
    size_t end = 1;
    while (end < rest().size() && rest()[end] != '"') end += rest()[end] == '\\' ? 2 : 1;
    if (end >= rest().size()) {
      std::string text(rest().substr(1));
      cut_ = true;
      at_ = text_.size();
      return text;
    }
    const auto parsed = parse_json(rest().substr(0, end + 1));
    if (!parsed) return fail("a tool call with a quoted text that is not JSON's");
    at_ += end + 1;
    return *parsed->text();
  }

  // Up to the next sign.
  Result<JsonValue> bare_word() {
    const size_t end = rest().find_first_of(",}]");
    if (end == 0) return fail("a tool call with an empty value");
    const std::string_view word = python_strip(rest().substr(0, end));
    if (end == std::string_view::npos) cut_ = true;
    at_ = end == std::string_view::npos ? text_.size() : at_ + end;
    if (word == "null" || word == "None") return JsonValue();
    if (word == "true" || word == "True") return JsonValue(true);
    if (word == "false" || word == "False") return JsonValue(false);
    const bool numeric = word.find_first_not_of("0123456789+-.eE") == std::string_view::npos;
    if (numeric)
      if (auto number = parse_json(word)) return number;
    return JsonValue(std::string(word));
  }

  std::string_view text_;
  size_t at_ = 0;
  bool cut_ = false;
};

}  // namespace

Result<ParsedCall> parse_tool_call(std::string_view text) { return Parser(text).call(); }

}  // namespace carat
