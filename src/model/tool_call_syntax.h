// Reads the calls that a model writes between <|tool_call> and <tool_call|>:
// call:NAME{key:value,key:[…],key:{…},key:<|"|>text<|"|>}
#pragma once

#include <string_view>

#include "model/chat.h"

namespace carat {

struct ParsedCall {
  ToolCall call;          // without an id: the model gives none
  bool complete = false;  // false: cut short; what could be read is there
};

// Tolerant where models stray: white space anywhere, keys between <|"|>, JSON's quotes, None for null. Of
// members with the same key the last counts. Bare words that are no number, true, false or null are texts.
// Error: not a call.
Result<ParsedCall> parse_tool_call(std::string_view text);

}  // namespace carat
