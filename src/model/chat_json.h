// Conversations as JSON, in the form that chat APIs share: {"messages": […], "tools": […], …}.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "model/chat.h"

namespace carat {

struct Conversation {
  std::vector<ChatTurn> turns;
  std::vector<JsonValue> tools;
  // "enable_thinking", "preserve_thinking" and "add_generation_prompt", as the published template calls them.
  bool think = false, preserve_thinking = false, open_answer = true;

  // With what the conversation asks for; refers to its tools.
  ChatOptions options(ChatOptions defaults) const;
};

// Roles "system", "developer", "user", "assistant", "tool"; content a string, null, or a list of {"type":
// "text" | "image" | "image_url" | "audio" | "input_audio" | "video"}, of a tool also any object;
// "reasoning", "reasoning_content" or "thinking" (the first that says something); "tool_calls": [{"id",
// "function":
// {"name", "arguments": object, or one as a string}}]. A tool's schema may hold anything: it is shown as the
// template shows it. Members that are not read, such as those about
// sampling, are no matter.
// Errors: a member that would change the prompt and is not supported, by name and place; a wrong kind of value.
Result<Conversation> parse_conversation(const JsonValue& value);

// Calls as chat APIs give them: [{"id", "type": "function", "function": {"name", "arguments": JSON as a
// string}}]. Models give no ids: then it is "call_0", "call_1", …
JsonValue to_json_value(std::span<const ToolCall> calls);

}  // namespace carat
