// The one place where the audit looks at the chat template. So far: whether there is one, and which. A
// comparison with the published templates (what they render, not how they are spelt) is to be called from
// check_template().
#include "audit/template_check.h"

#include <string_view>

#include "base/sha256.h"

namespace carat {

TemplateFacts check_template(const gguf::Metadata& metadata, std::string_view name, Findings& findings) {
  constexpr std::string_view key = "tokenizer.chat_template";
  const auto text = metadata.text(key);
  if (!metadata.contains(key) || (text && text->empty())) {
    const bool is_instructed =
        name.find("-it") != std::string_view::npos || name.find("instruct") != std::string_view::npos;
    if (is_instructed)
      add_defect(findings, "template-missing", "there is no chat template (tokenizer.chat_template)",
                 "Programs guess the format of a conversation, and a wrong guess costs quality. Carat knows "
                 "Gemma 4's; elsewhere "
                 "take a file that has one.");
    else
      add_note(findings, "template-missing", "there is no chat template (tokenizer.chat_template)",
               "As it should be for a base model. If this one is made for conversations, programs have to "
               "guess their format.");
    return {};
  }
  if (!text) {
    add_defect(findings, "template-type", text.error().message, "The file is damaged or was edited badly.");
    return {};
  }
  return {true, text->size(), sha256_hex(*text)};
}

}  // namespace carat
