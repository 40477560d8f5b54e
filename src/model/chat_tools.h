// Tools in the chat template's own notation: declarations, calls, results. Not JSON: keys stand bare, strings
// stand between "<|"|>" tokens, so that nothing in them needs escaping.
#pragma once

#include <string_view>

#include "model/chat.h"
#include "model/chat_segments.h"

namespace carat {

// "<|tool>declaration:NAME{description:…,parameters:{…}}<tool|>".
void declare_tool(const JsonValue& tool, Segments& out);

// "<|tool_call>call:NAME{key:value,…}<tool_call|>".
void render_call(const ToolCall& call, Segments& out);

// "<|tool_response>response:NAME{key:value,…}<tool_response|>"; what is no object becomes the member "value".
void render_response(std::string_view tool, const JsonValue& result, Segments& out);

}  // namespace carat
