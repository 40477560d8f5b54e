// Chat: a conversation as one prompt, in the template that Gemma 4 was trained with: system text, thinking,
// tools, calls and their results, media. Written natively; equal byte for byte to the template of 9 July 2026
// that Google publishes for the five sizes (docs/decisions/0008-chat-template.md).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/config.h"
#include "model/json_value.h"
#include "model/tokenizer.h"

namespace carat {

struct ContentPart {
  enum class Kind { text, image, audio, video } kind = Kind::text;
  std::string text;  // of a text part
};

// What a tool gives back where it is more than text.
struct ToolResult {
  JsonValue value;
};

// One text or a list of parts: they differ, a list's texts are trimmed one by one. Results are for tools'
// turns only.
using ChatContent = std::variant<std::string, std::vector<ContentPart>, ToolResult>;

struct ToolCall {
  std::string id, name;
  JsonValue::Object arguments;

  bool operator==(const ToolCall&) const = default;
};

struct ChatTurn {
  enum class Role { system, developer, user, model, tool } role = Role::user;
  ChatContent content;
  std::string reasoning;             // of the model: what it thought before it answered
  std::vector<ToolCall> tool_calls;  // of the model
  std::string tool_call_id,
      name;  // of a tool's result: the call that it answers, and the tool if no call has that id
  bool is_parsed = false;  // the content came out of OutputParser: nothing in it is a token
};

struct ChatOptions {
  bool think = false;              // let the model think before it answers
  bool preserve_thinking = false;  // show it its thoughts before calls of earlier turns, too
  bool empty_thought = true;       // 12B and larger: begin an answer without thinking with an empty thought
  bool open_answer = true;         // end where the model's answer begins
  std::span<const JsonValue>
      tools;  // {"type": "function", "function": {name, description, parameters}}, or the inner
};

// No thinking, no tools; the empty thought for models without per-layer embeddings (12B and larger), since
// E2B and E4B were trained without it.
ChatOptions chat_options(const Config& config);

// "<bos><|turn>user\n…<turn|>\n<|turn>model\n": ends where the model's answer begins. For people to read:
// encoded as one text, what a user wrote could pass for the template.
std::string render_chat(std::span<const ChatTurn> turns, const ChatOptions& options);

// The same as tokens. Only the template's own markers become control tokens, "<turn|>" in a turn's text does
// not. In the content of the model's own turns user-defined tokens ("<|tool_call>") are what they are.
std::vector<Token> encode_chat(std::span<const ChatTurn> turns, const ChatOptions& options,
                               const Tokenizer& tokenizer);

inline std::vector<Token> encode_chat(std::span<const ChatTurn> turns, const Config& config,
                                      const Tokenizer& tokenizer) {
  return encode_chat(turns, chat_options(config), tokenizer);
}

// Text that somebody wrote, in which nothing is a control token, nor one of the template's that files declare
// as user-defined ("<|channel>", "<|tool_call>", …). No BOS.
std::vector<Token> encode_content(std::string_view text, const Tokenizer& tokenizer);

}  // namespace carat
