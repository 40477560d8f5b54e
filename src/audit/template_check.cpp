// The one place where the audit looks at the chat template: whether there is one, which, and how it differs
// from what carat renders (model/chat_template.h).
#include "audit/template_check.h"

#include <string_view>

#include "base/sha256.h"
#include "model/chat_template.h"

namespace carat {
namespace {

// "a; b; c"
std::string in_one_line(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : "; ") + part;
  return text;
}

// "gemma-4-E4B-it-Q4_0.gguf", "gemma_4_instruct": "it" as a word of its own, or one that begins with
// "instruct". Not "gemma-italian".
bool names_instructed_model(std::string_view name) {
  const auto in_word = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  for (size_t begin = 0; begin < name.size();) {
    size_t end = begin;
    while (end < name.size() && in_word(name[end])) ++end;
    const std::string_view word = name.substr(begin, end - begin);
    if (word == "it" || word.starts_with("instruct")) return true;
    begin = end + 1;
  }
  return false;
}

void add_differences(const ChatTemplateReport& report, Findings& findings) {
  const std::string what = "the chat template: " + in_one_line(report.findings);
  if (report.defect)
    add_defect(findings, "template", what,
               "Programs that follow it talk to the model in another way than it was trained. Carat renders "
               "Google's "
               "own.");
  else if (!report.findings.empty())
    add_note(findings, "template", what,
             "Carat renders Google's of July 2026 in any case; other programs follow the file's.");
}

}  // namespace

TemplateFacts check_template(const gguf::Metadata& metadata, const Config* config, std::string_view name,
                             Findings& findings) {
  constexpr std::string_view key = "tokenizer.chat_template";
  const auto text = metadata.text(key);
  if (!metadata.contains(key) || (text && text->empty())) {
    if (names_instructed_model(name))
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
  if (config == nullptr) return {true, text->size(), sha256_hex(*text), {}, false};
  const ChatTemplateReport report = examine_chat_template(*text, *config);
  add_differences(report, findings);
  return {true, text->size(), report.sha256, report.revision, report.same_as_ours};
}

}  // namespace carat
