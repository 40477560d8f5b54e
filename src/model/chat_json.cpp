// Refuses what it does not know, by name of the member: half a conversation is not what somebody asked for.
#include "model/chat_json.h"

#include <optional>
#include <string>

namespace carat {
namespace {

using Role = ChatTurn::Role;
using Kind = ContentPart::Kind;

// A member that is absent or null is empty.
Result<std::string> text_or_empty(const JsonValue& object, std::string_view key) {
  const JsonValue* value = object.find(key);
  if (value == nullptr || value->is_null()) return std::string();
  if (value->text() == nullptr) return fail("\"{}\" is not a string", key);
  return *value->text();
}

Result<bool> flag_or(const JsonValue& object, std::string_view key, bool fallback) {
  const JsonValue* value = object.find(key);
  if (value == nullptr || value->is_null()) return fallback;
  if (value->boolean() == nullptr) return fail("\"{}\" is neither true nor false", key);
  return *value->boolean();
}

Result<const JsonValue::Array*> list_or_empty(const JsonValue& object, std::string_view key) {
  static const JsonValue::Array kEmpty;
  const JsonValue* value = object.find(key);
  if (value == nullptr || value->is_null()) return &kEmpty;
  if (value->array() == nullptr) return fail("\"{}\" is not a list", key);
  return value->array();
}

Result<Role> role_of(const JsonValue& message) {
  const std::string role = TRY(text_or_empty(message, "role"));
  if (role == "system") return Role::system;
  if (role == "developer") return Role::developer;
  if (role == "user") return Role::user;
  if (role == "assistant" || role == "model") return Role::model;
  if (role == "tool") return Role::tool;
  return fail("\"role\" is none of system, developer, user, assistant, tool");
}

Result<ContentPart> part_of(const JsonValue& value) {
  const std::string type = TRY(text_or_empty(value, "type"));
  if (type == "text") return ContentPart{Kind::text, TRY(text_or_empty(value, "text"))};
  if (type == "image" || type == "image_url") return ContentPart{Kind::image, {}};
  if (type == "audio" || type == "input_audio") return ContentPart{Kind::audio, {}};
  if (type == "video") return ContentPart{Kind::video, {}};
  return fail("the \"type\" of a part of \"content\" is none of text, image, audio, video");
}

Result<ChatContent> content_of(const JsonValue& message, Role role) {
  const JsonValue* value = message.find("content");
  if (value == nullptr) return role == Role::tool ? ChatContent(ToolResult{}) : ChatContent();
  if (value->text() != nullptr) return ChatContent(*value->text());
  if (const JsonValue::Array* items = value->array()) {
    std::vector<ContentPart> parts;
    for (const JsonValue& item : *items) parts.push_back(TRY(part_of(item)));
    return ChatContent(std::move(parts));
  }
  if (role == Role::tool) return ChatContent(ToolResult{*value});
  if (value->is_null()) return ChatContent();
  return fail("\"content\" is neither a string nor a list");
}

// Some clients hand arguments on as the JSON text that APIs show them.
Result<JsonValue::Object> arguments_of(const JsonValue& function) {
  const JsonValue* value = function.find("arguments");
  if (value == nullptr || value->is_null()) return JsonValue::Object();
  if (value->object() != nullptr) return *value->object();
  if (value->text() != nullptr)
    if (const auto parsed = parse_json(*value->text()); parsed && parsed->object() != nullptr)
      return *parsed->object();
  return fail("\"arguments\" of a tool call is not an object");
}

Result<ToolCall> call_of(const JsonValue& value) {
  const JsonValue* function = value.find("function");
  if (function == nullptr || function->object() == nullptr) return fail("a tool call without an object \"function\"");
  ToolCall call;
  call.id = TRY(text_or_empty(value, "id"));
  call.name = TRY(text_or_empty(*function, "name"));
  if (call.name.empty()) return fail("a tool call without a name");
  call.arguments = TRY(arguments_of(*function));
  return call;
}

Result<ChatTurn> turn_of(const JsonValue& message) {
  if (message.object() == nullptr) return fail("not an object");
  if (message.find("tool_responses") != nullptr)
    return fail("\"tool_responses\" is not read: give the results as messages of role tool");
  ChatTurn turn;
  turn.role = TRY(role_of(message));
  turn.content = TRY(content_of(message, turn.role));
  turn.reasoning = TRY(text_or_empty(message, "reasoning"));
  if (turn.reasoning.empty()) turn.reasoning = TRY(text_or_empty(message, "reasoning_content"));
  for (const JsonValue& call : *TRY(list_or_empty(message, "tool_calls")))
    turn.tool_calls.push_back(TRY(call_of(call)));
  turn.tool_call_id = TRY(text_or_empty(message, "tool_call_id"));
  turn.name = TRY(text_or_empty(message, "name"));
  return turn;
}

}  // namespace

ChatOptions Conversation::options(ChatOptions defaults) const {
  defaults.think = think;
  defaults.preserve_thinking = preserve_thinking;
  defaults.open_answer = open_answer;
  defaults.tools = tools;
  return defaults;
}

Result<Conversation> parse_conversation(const JsonValue& value) {
  if (value.object() == nullptr || value.find("messages") == nullptr || value.find("messages")->array() == nullptr)
    return fail("a conversation is an object with \"messages\", a list");
  Conversation conversation;
  const JsonValue::Array& messages = *TRY(list_or_empty(value, "messages"));
  for (size_t i = 0; i < messages.size(); ++i) {
    auto turn = turn_of(messages[i]);
    if (!turn) return fail("message {}: {}", i, turn.error().message);
    conversation.turns.push_back(turn.take());
  }
  conversation.tools = *TRY(list_or_empty(value, "tools"));
  for (size_t i = 0; i < conversation.tools.size(); ++i)
    if (conversation.tools[i].object() == nullptr) return fail("tool {} is not an object", i);
  conversation.think = TRY(flag_or(value, "enable_thinking", false));
  conversation.preserve_thinking = TRY(flag_or(value, "preserve_thinking", false));
  conversation.open_answer = TRY(flag_or(value, "add_generation_prompt", true));
  return conversation;
}

}  // namespace carat
