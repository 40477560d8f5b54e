// Chat: turns of text as one prompt, in the template that Gemma 4 was trained with. Text only so far: no thinking,
// no tools, no pictures.
#pragma once

#include <span>
#include <string>

#include "model/config.h"

namespace carat {

struct ChatTurn {
  enum class Role { system, user, model } role;
  std::string text;
};

// "<bos><|turn>user\n…<turn|>\n<|turn>model\n": ends where the model's answer begins. A system turn may only come
// first. Models without per-layer embeddings (12B and larger) expect an empty thought there when they are not to
// think. Encode with parse_special.
std::string render_chat(std::span<const ChatTurn> turns, const Config& config);

}  // namespace carat
