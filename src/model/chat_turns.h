// A conversation as segments: the chat template proper.
#pragma once

#include <span>

#include "model/chat.h"
#include "model/chat_segments.h"

namespace carat {

Segments render_turns(std::span<const ChatTurn> turns, const ChatOptions& options);

}  // namespace carat
