// Refuses what would change the prompt and is not read, by name of the member: half a conversation is not what somebody
// asked for. Whatever else clients send along is theirs.
#include "model/chat_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

namespace carat {
namespace {

using Role = ChatTurn::Role;
using Kind = ContentPart::Kind;

// What the published template or other programs make part of the prompt, and we do not. All other members that are not
// read say how to sample, or are left from another program's answer.
constexpr std::string_view kOfConversations[] = {"chat_template",           "chat_template_kwargs", "documents",
                                                 "continue_final_message", "functions",            "prompt"};
constexpr std::string_view kOfMessages[] = {"tool_responses", "function_call", "prefix", "parts"};
constexpr std::string_view kOfMedia[] = {"text"};

// What says nothing may stand under any name.
bool says_nothing(const JsonValue& value) {
  return value.is_null() || (value.array() != nullptr && value.array()->empty()) ||
         (value.object() != nullptr && value.object()->empty()) ||
         (value.boolean() != nullptr && !*value.boolean());
}

Result<void> refuse_members(const JsonValue& object, std::span<const std::string_view> refused) {
  for (const std::string_view name : refused)
    if (const JsonValue* value = object.find(name); value != nullptr && !says_nothing(*value))
      return fail("the member \"{}\" is not supported, and without it the prompt would be another", name);
  return {};
}

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
  if (value.object() == nullptr) return fail("not an object");
  const std::string type = TRY(text_or_empty(value, "type"));
  if (type == "text") return ContentPart{Kind::text, TRY(text_or_empty(value, "text"))};
  ContentPart part;
  if (type == "image" || type == "image_url")
    part.kind = Kind::image;
  else if (type == "audio" || type == "input_audio")
    part.kind = Kind::audio;
  else if (type == "video")
    part.kind = Kind::video;
  else
    return fail("its \"type\" is none of text, image, audio, video");
  TRY(refuse_members(value, kOfMedia));
  return part;
}

Result<std::vector<ContentPart>> parts_of(const JsonValue::Array& items) {
  std::vector<ContentPart> parts;
  for (size_t i = 0; i < items.size(); ++i) {
    auto part = part_of(items[i]);
    if (!part) return fail("part {} of \"content\": {}", i, part.error().message);
    parts.push_back(part.take());
  }
  return parts;
}

Result<ChatContent> content_of(const JsonValue& message, Role role) {
  const JsonValue* value = message.find("content");
  if (value == nullptr) return role == Role::tool ? ChatContent(ToolResult{}) : ChatContent();
  if (value->text() != nullptr) return ChatContent(*value->text());
  if (value->array() != nullptr) return ChatContent(TRY(parts_of(*value->array())));
  if (role == Role::tool) return ChatContent(ToolResult{*value});
  if (value->is_null()) return ChatContent();
  return fail("\"content\" is neither a string nor a list");
}

// Some clients hand arguments on as the JSON text that APIs show them.
Result<JsonValue::Object> arguments_of(const JsonValue& function) {
  const JsonValue* value = function.find("arguments");
  if (value == nullptr || value->is_null()) return JsonValue::Object();
  if (value->object() != nullptr) return *value->object();
  if (value->text() != nullptr && value->text()->empty()) return JsonValue::Object();  // a call without any
  if (value->text() != nullptr)
    if (const auto parsed = parse_json(*value->text()); parsed && parsed->object() != nullptr)
      return *parsed->object();
  return fail("\"arguments\" is not an object");
}

Result<ToolCall> call_of(const JsonValue& value) {
  if (value.object() == nullptr) return fail("not an object");
  if (const std::string type = TRY(text_or_empty(value, "type")); !type.empty() && type != "function")
    return fail("its \"type\" is not \"function\"");
  const JsonValue* function = value.find("function");
  if (function == nullptr || function->object() == nullptr) return fail("it has no object \"function\"");
  ToolCall call;
  call.id = TRY(text_or_empty(value, "id"));
  call.name = TRY(text_or_empty(*function, "name"));
  if (call.name.empty()) return fail("it has no name");
  call.arguments = TRY(arguments_of(*function));
  return call;
}

Result<std::vector<ToolCall>> calls_of(const JsonValue& message) {
  std::vector<ToolCall> calls;
  const JsonValue::Array& list = *TRY(list_or_empty(message, "tool_calls"));
  for (size_t i = 0; i < list.size(); ++i) {
    auto call = call_of(list[i]);
    if (!call) return fail("tool call {}: {}", i, call.error().message);
    calls.push_back(call.take());
  }
  return calls;
}

Result<ChatTurn> turn_of(const JsonValue& message) {
  if (message.object() == nullptr) return fail("not an object");
  TRY(refuse_members(message, kOfMessages));
  ChatTurn turn;
  turn.role = TRY(role_of(message));
  turn.content = TRY(content_of(message, turn.role));
  for (const std::string_view name : {"reasoning", "reasoning_content", "thinking"})
    if (auto text = TRY(text_or_empty(message, name)); turn.reasoning.empty())
      turn.reasoning = std::move(text);
  turn.tool_calls = TRY(calls_of(message));
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
  TRY(refuse_members(value, kOfConversations));
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

JsonValue to_json_value(std::span<const ToolCall> calls) {
  JsonValue::Array list;
  for (const ToolCall& call : calls) {
    const std::string id = call.id.empty() ? fmt::format("call_{}", list.size()) : call.id;
    list.push_back(JsonValue::Object{
        {"id", id},
        {"type", "function"},
        {"function",
         JsonValue::Object{{"name", call.name}, {"arguments", to_json(JsonValue(call.arguments))}}}});
  }
  return list;
}

}  // namespace carat
