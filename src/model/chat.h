// Chat: turns of text as one prompt, in the template that Gemma 4 was trained with. Text only so far: no thinking,
// no tools, no pictures.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/tokenizer.h"

namespace carat {

struct ChatTurn {
  enum class Role { system, user, model } role;
  std::string text;
};

// "<bos><|turn>user\n…<turn|>\n<|turn>model\n": ends where the model's answer begins. A system turn may only come
// first. Models without per-layer embeddings (12B and larger) expect an empty thought there when they are not to
// think. For people to read: encoded as one text, what a user wrote could pass for the template.
std::string render_chat(std::span<const ChatTurn> turns, const Config& config);

// The same as tokens. Only the template's own markers become control tokens, "<turn|>" in a turn's text does not. In
// the model's own turns user-defined tokens ("<|tool_call>") are what they are.
std::vector<Token> encode_chat(std::span<const ChatTurn> turns, const Config& config, const Tokenizer& tokenizer);

// Text that somebody wrote, in which nothing is a control token, nor one of the template's that files declare as
// user-defined ("<|channel>", "<|tool_call>", …). No BOS.
std::vector<Token> encode_content(std::string_view text, const Tokenizer& tokenizer);

}  // namespace carat
