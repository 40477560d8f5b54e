// The order of things in a conversation, as the template of 9 July 2026 has it. A model's turn may span
// several messages: its calls, their results, and what it says then are one turn.
#include "model/chat_turns.h"

#include <optional>
#include <string>

#include "model/chat_tools.h"
#include "model/python_text.h"

namespace carat {
namespace {

using Role = ChatTurn::Role;
using Kind = ContentPart::Kind;

bool leads(const ChatTurn& turn) { return turn.role == Role::system || turn.role == Role::developer; }

std::string_view name_of(Role role) {
  switch (role) {
    case Role::system:
      return "system";
    case Role::developer:
      return "developer";
    case Role::user:
      return "user";
    case Role::model:
      return "model";
    case Role::tool:
      return "tool";
  }
  return "";
}

std::string_view marker_of(Kind kind) {
  switch (kind) {
    case Kind::text:
      return "";
    case Kind::image:
      return "<|image|>";
    case Kind::audio:
      return "<|audio|>";
    case Kind::video:
      return "<|video|>";
  }
  return "";
}

// A model's earlier words without its thoughts, trimmed.
std::string without_thoughts(std::string_view text) {
  constexpr std::string_view kOpen = "<|channel>", kClose = "<channel|>";
  std::string kept;
  while (true) {
    const size_t close = text.find(kClose);
    const std::string_view part = text.substr(0, close);
    kept += part.substr(0, part.find(kOpen));
    if (close == std::string_view::npos) break;
    text.remove_prefix(close + kClose.size());
  }
  return std::string(python_strip(kept));
}

// What a parser split off its markers holds none any more: a marker there is one that the model only spelled.
void render_text(std::string_view text, const ChatTurn& turn, Segments& out) {
  if (turn.role != Role::model) return out.written(python_strip(text));
  turn.is_parsed ? out.written(without_thoughts(text)) : out.models(without_thoughts(text));
}

Segments content_of(const ChatTurn& turn) {
  Segments out;
  if (const auto* text = std::get_if<std::string>(&turn.content)) render_text(*text, turn, out);
  if (const auto* parts = std::get_if<std::vector<ContentPart>>(&turn.content))
    for (const ContentPart& part : *parts)
      part.kind == Kind::text ? render_text(part.text, turn, out) : out.marker(marker_of(part.kind));
  return out;
}

bool shows_something(const Segments& content) {
  for (const ChatSegment& segment : content.list())
    if (segment.kind == ChatSegment::Kind::marker || !python_strip(segment.text).empty()) return true;
  return false;
}

// In a list, each text is followed by a space.
void render_system_text(const ChatTurn& turn, Segments& out) {
  if (const auto* text = std::get_if<std::string>(&turn.content)) out.written(python_strip(*text));
  if (const auto* parts = std::get_if<std::vector<ContentPart>>(&turn.content))
    for (const ContentPart& part : *parts) out.written(std::string(python_strip(part.text)) + " ");
}

void render_system_block(const ChatTurn* system, const ChatOptions& options, Segments& out) {
  out.marker("<|turn>");
  out.written("system\n");
  if (options.think) {
    out.marker("<|think|>");
    out.written("\n");
  }
  if (system != nullptr) render_system_text(*system, out);
  for (const JsonValue& tool : options.tools) declare_tool(tool, out);
  out.marker("<turn|>");
  out.written("\n");
}

// A result belongs to the call with its id; without ids, to the last one.
std::string_view tool_name(const ChatTurn& result, const std::vector<ToolCall>& calls) {
  std::string_view name = result.name.empty() ? std::string_view("unknown") : result.name;
  for (const ToolCall& call : calls)
    if (call.id == result.tool_call_id) name = call.name;
  return name;
}

void render_result(const ChatTurn& result, const std::vector<ToolCall>& calls, Segments& out) {
  const std::string_view tool = tool_name(result, calls);
  if (const auto* given = std::get_if<ToolResult>(&result.content))
    return render_response(tool, given->value, out);
  if (const auto* text = std::get_if<std::string>(&result.content)) return render_response(tool, *text, out);
  const auto& parts = std::get<std::vector<ContentPart>>(result.content);
  std::string text;
  for (const ContentPart& part : parts)
    if (part.kind == Kind::text) text += part.text;
  render_response(tool, text, out);
  for (const ContentPart& part : parts)
    if (part.kind != Kind::text) out.marker(marker_of(part.kind));
}

class TurnRenderer {
 public:
  TurnRenderer(std::span<const ChatTurn> turns, const ChatOptions& options, Segments& out)
      : turns_(turns), options_(options), out_(out) {
    for (size_t i = 0; i < turns.size(); ++i)
      if (turns[i].role == Role::user) last_user_ = i;
  }

  void render() {
    for (size_t i = 0; i < turns_.size(); ++i)
      if (turns_[i].role != Role::tool) render_turn(i);
    if (options_.open_answer) open_answer();
  }

 private:
  void render_turn(size_t i) {
    const ChatTurn& turn = turns_[i];
    const bool continues = turn.role == Role::model && previous_ == Role::model;
    if (!continues) {
      out_.marker("<|turn>");
      out_.written(std::string(name_of(turn.role)) + "\n");
    }
    render_reasoning(i);
    for (const ToolCall& call : turn.tool_calls) render_call(call, out_);
    const size_t n_results = turn.tool_calls.empty() ? 0 : render_results(i);
    awaits_result_ = !turn.tool_calls.empty() && n_results == 0;
    has_result_ = n_results > 0;
    Segments content = content_of(turn);
    const bool has_content = shows_something(content);
    out_.append(std::move(content));
    close(i, has_content);
    previous_ = turn.role;
  }

  // Thoughts are for the answer that is being made: those before the last user's turn are dropped, but for
  // what led to calls where the caller wants to keep it.
  void render_reasoning(size_t i) {
    const ChatTurn& turn = turns_[i];
    const bool is_current = !last_user_ || i > *last_user_;
    if (turn.reasoning.empty() || !(is_current || (options_.preserve_thinking && !turn.tool_calls.empty())))
      return;
    out_.marker("<|channel>");
    out_.written("thought\n" + turn.reasoning + "\n");
    out_.marker("<channel|>");
  }

  size_t render_results(size_t i) {
    size_t n = 0;
    for (size_t k = i + 1; k < turns_.size() && turns_[k].role == Role::tool; ++k, ++n)
      render_result(turns_[k], turns_[i].tool_calls, out_);
    return n;
  }

  void close(size_t i, bool has_content) {
    const std::optional<Role> next = next_role(i);
    if (awaits_result_) return out_.marker("<|tool_response>");
    if (turns_[i].role == Role::model && next == Role::model) return;
    if (has_result_ && !has_content && !next) return;
    out_.marker("<turn|>");
    out_.written("\n");
  }

  // Of the next message that is no tool's.
  std::optional<Role> next_role(size_t i) const {
    for (size_t k = i + 1; k < turns_.size(); ++k)
      if (turns_[k].role != Role::tool) return turns_[k].role;
    return std::nullopt;
  }

  // After a result the model's turn is still open. It stays so if a result is awaited.
  void open_answer() {
    if (awaits_result_) return;
    if (has_result_) {
      if (!options_.think) return;
      out_.marker("<|channel>");
      out_.written("thought\n");
      return;
    }
    out_.marker("<|turn>");
    out_.written("model\n");
    if (options_.think || !options_.empty_thought) return;
    out_.marker("<|channel>");
    out_.written("thought\n");
    out_.marker("<channel|>");
  }

  std::span<const ChatTurn> turns_;
  const ChatOptions& options_;
  Segments& out_;
  std::optional<size_t> last_user_;
  std::optional<Role> previous_;  // of the last message that is no tool's
  bool awaits_result_ = false, has_result_ = false;
};

}  // namespace

Segments render_turns(std::span<const ChatTurn> turns, const ChatOptions& options) {
  Segments out;
  out.marker("<bos>");
  const bool has_system = !turns.empty() && leads(turns[0]);
  if (has_system || options.think || !options.tools.empty())
    render_system_block(has_system ? &turns[0] : nullptr, options, out);
  TurnRenderer(has_system ? turns.subspan(1) : turns, options, out).render();
  return out;
}

}  // namespace carat
