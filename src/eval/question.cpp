// The answer's tokens behind the template's.
#include "eval/question.h"

#include <algorithm>

#include "base/random.h"

namespace carat {
namespace {

void append(std::vector<Token>& tokens, const std::vector<Token>& more) {
  tokens.insert(tokens.end(), more.begin(), more.end());
}

// Text never shares a token with a newline beside it, so lines can be encoded one by one.
Result<void> append_lines(const Question& question, const Tokenizer& tokenizer, SuiteItem& item) {
  const std::vector<Token> newline = encode_content("\n", tokenizer);
  if (question.lines.empty()) return fail("an empty answer");
  for (size_t i = 0; i < question.lines.size(); ++i) {
    const size_t begin = item.tokens.size();
    append(item.tokens, encode_content(question.lines[i], tokenizer));
    if (item.tokens.size() == begin) return fail("an empty answer");
    if (i + 1 < question.lines.size())
      append(item.tokens, newline);
    else if (const Token end = tokenizer.find("<turn|>"); end >= 0)
      item.tokens.push_back(end);
    item.answers.push_back(
        {static_cast<int>(begin), static_cast<int>(item.tokens.size()), question.is_exact});
  }
  return {};
}

// What the template puts behind the open answer when the model calls; the last token closes the turn. The
// empty thought of larger models stands before answers only, not in a conversation's past: so the call is
// taken from a template without it.
Result<std::vector<Token>> call_tokens(const Question& question, const ChatOptions& options,
                                       const Tokenizer& tokenizer) {
  if (tokenizer.find("<|tool_call>") < 0 || tokenizer.find("<|tool_response>") < 0)
    return fail("the vocabulary has no tokens for tool calls");
  ChatOptions before = options, after = options;
  before.empty_thought = after.empty_thought = false;
  after.open_answer = false;
  const std::vector<Token> open = encode_chat(question.turns, before, tokenizer);
  std::vector<ChatTurn> turns = question.turns;
  turns.push_back({.role = ChatTurn::Role::model, .content = "", .tool_calls = {*question.call}});
  const std::vector<Token> whole = encode_chat(turns, after, tokenizer);
  if (whole.size() <= open.size() || !std::equal(open.begin(), open.end(), whole.begin()))
    return fail("the template does not put a call behind the question");
  return std::vector<Token>(whole.begin() + static_cast<std::ptrdiff_t>(open.size()), whole.end());
}

ChatOptions options_of(const Question& question, const Config& config) {
  ChatOptions options = chat_options(config);
  options.tools = question.tools;
  return options;
}

// One of everything: a system text, tools, a call and its result, an answer, a question.
Question sample_question() {
  using Role = ChatTurn::Role;
  Question q;
  q.tools = {JsonValue::Object{
      {"type", "function"},
      {"function",
       JsonValue::Object{
           {"name", "look"},
           {"description", "Looks."},
           {"parameters",
            JsonValue::Object{
                {"type", "object"},
                {"properties", JsonValue::Object{{"place", JsonValue::Object{{"type", "string"}}}}},
                {"required", JsonValue::Array{"place"}}}}}}}};
  const ToolCall call{"", "look", {{"place", "here"}}};
  q.turns = {{Role::system, "Be brief."},
             {Role::user, "Look."},
             {.role = Role::model, .content = "", .tool_calls = {call}},
             {.role = Role::tool, .content = "nothing", .name = "look"},
             {Role::model, "I see nothing."},
             {Role::user, "Thanks.\nAnd there?"}};
  return q;
}

}  // namespace

Result<SuiteItem> encode_question(const Question& question, std::string category, const Tokenizer& tokenizer,
                                  const Config& config) {
  const ChatOptions options = options_of(question, config);
  SuiteItem item;
  item.category = std::move(category);
  item.tokens = encode_chat(question.turns, options, tokenizer);
  if (tokenizer.bos() >= 0 && (item.tokens.empty() || item.tokens.front() != tokenizer.bos()))
    item.tokens.insert(item.tokens.begin(), tokenizer.bos());
  item.first_scored = static_cast<int>(item.tokens.size());
  if (item.first_scored < 1) return fail("an answer that nothing precedes");
  if (!question.call) {
    TRY(append_lines(question, tokenizer, item));
    return item;
  }
  append(item.tokens, TRY(call_tokens(question, options, tokenizer)));
  item.answers.push_back({item.first_scored, static_cast<int>(item.tokens.size()), question.is_exact});
  return item;
}

std::string template_hash(const Config& config) {
  const Question question = sample_question();
  uint64_t state = 0;
  for (const char c : render_chat(question.turns, options_of(question, config)))
    state = mix64(state ^ static_cast<unsigned char>(c));
  return fmt::format("{:016x}", state);
}

}  // namespace carat
