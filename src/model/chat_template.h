// Which chat template a file brings along. Carat renders the template natively and runs no Jinja, so what can
// be said about a file's own is: its text is one that Google published, and then how its renderings differ
// from ours is known; or it is not, and then only what it has and lacks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gguf/metadata.h"
#include "model/config.h"

namespace carat {

struct ChatTemplateReport {
  enum class Family { small, large, unknown };  // E2B and E4B; 12B, 26B-A4B and 31B

  bool present = false;
  std::string sha256;    // of the text, as tools print it for a chat_template.jinja
  std::string revision;  // "2026-07-09": the text is Google's of that day; empty: it is nobody's we know
  Family family = Family::unknown;    // by the empty thought in its generation prompt
  bool same_as_ours = false;          // renders every conversation as render_chat() does
  std::vector<std::string> findings;  // one line each, for people: how it differs, or what it lacks
  bool defect = false;  // the findings make the model answer worse: of the other family, no Gemma 4 template
};

std::string_view name_of(ChatTemplateReport::Family family);

// Looks at tokenizer.chat_template; the config says which family the model belongs to.
ChatTemplateReport examine_chat_template(const gguf::Metadata& metadata, const Config& config);

// The same of a text that is at hand.
ChatTemplateReport examine_chat_template(std::string_view text, const Config& config);

}  // namespace carat
