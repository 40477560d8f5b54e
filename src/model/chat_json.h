// Conversations as JSON, in the form that chat APIs share: {"messages": […], "tools": […], …}.
#pragma once

#include <string_view>
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
// "text" | "image" | "image_url" | "audio" | "input_audio" | "video"}, of a tool also any object; "reasoning"
// or "reasoning_content"; "tool_calls": [{"id", "function": {"name", "arguments": object, or one as a
// string}}].
Result<Conversation> parse_conversation(const JsonValue& value);

}  // namespace carat
