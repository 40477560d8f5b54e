// The text skeleton of the template (reference sheet 5.2).
#include "model/chat.h"

#include <string_view>

#include "base/check.h"

namespace carat {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::string_view name_of(ChatTurn::Role role) {
  switch (role) {
    case ChatTurn::Role::system: return "system";
    case ChatTurn::Role::user: return "user";
    case ChatTurn::Role::model: return "model";
  }
  return "";
}

}  // namespace

std::string render_chat(std::span<const ChatTurn> turns, const Config& config) {
  std::string text = "<bos>";
  for (const ChatTurn& turn : turns) {
    CHECK(turn.role != ChatTurn::Role::system || &turn == turns.data());
    text.append("<|turn>").append(name_of(turn.role)).append("\n");
    text.append(trimmed(turn.text)).append("<turn|>\n");
  }
  text += "<|turn>model\n";
  if (config.per_layer_dim == 0) text += "<|channel>thought\n<channel|>";
  return text;
}

}  // namespace carat
