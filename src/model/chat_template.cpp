// Published texts by their SHA-256, and features by the strings that every template with them must contain.
#include "model/chat_template.h"

#include <span>

#include "base/sha256.h"

namespace carat {
namespace {

using Family = ChatTemplateReport::Family;

// Where the older texts differ, found by rendering generated conversations with both. Equal: everything
// without tools and earlier thoughts, in which turns alternate.
constexpr std::string_view kSinceJuly[] = {
    "prints None for null in tools, calls and results",
    "shows thoughts of the current turn only where they lead to tool calls",
    "begins a turn for each of consecutive answers",
    "does not close a turn that a tool's result ends",
    "does not open a thought after a tool's result",
    "leaves out pictures and sounds in tools' results",
    "knows pictures and sounds as image and audio, not as image_url and input_audio",
};
constexpr std::string_view kSinceApril28[] = {
    "prints a list of system texts as Python shows a list",
    "leaves out tools' properties that are named like a schema's keywords (type, description, ...)",
};

struct Published {
  std::string_view sha256, revision;
  Family family;
};

// From Google's model repositories; small: E2B and E4B.
constexpr Published kPublished[] = {
    {"ae53464bf3be25802b3a5b37def7fd89667067d7577049b3b2d74c4d8de4c6d4", "2026-07-09", Family::large},
    {"0a2c8073c878ab1da004bee933a998606537bbb62016310352c7285c3f01c5b5", "2026-07-09", Family::small},
    {"94899c0f917d93f6fe81c95744d1e8ddab2d21d39228d2e4aec1fb2a25bff413", "2026-04-28", Family::large},
    {"33204f1acb5bd0002713e16a593847f24ceeafe711ed88bda2a352dc996a3373", "2026-04-28", Family::small},
    {"85a08664d16d8f3be4416c92427b3ac10df1024ac566cc0b4bc3bab409393f98", "2026-04-10", Family::large},
    {"781d10940fbc44be40064b5d43a056fc486c84ceaa55538226368b57314132bf", "2026-04-10", Family::small},
};

void add_differences(std::string_view revision, ChatTemplateReport& report) {
  report.same_as_ours = revision == "2026-07-09";
  const auto add = [&](std::span<const std::string_view> lines) {
    for (const std::string_view line : lines) report.findings.emplace_back(line);
  };
  if (revision < "2026-07-09") add(kSinceJuly);
  if (revision < "2026-04-28") add(kSinceApril28);
}

bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// Comments talk about what a template does not do.
std::string without_comments(std::string_view text) {
  std::string kept;
  while (true) {
    const size_t begin = text.find("{#");
    kept += text.substr(0, begin);
    if (begin == std::string_view::npos) return kept;
    const size_t end = text.find("#}", begin + 2);
    if (end == std::string_view::npos) return kept;
    text.remove_prefix(end + 2);
  }
}

// In a Jinja string literal the newline is spelled.
bool has_empty_thought(std::string_view text) {
  return has(text, "<|channel>thought\\n<channel|>") || has(text, "<|channel>thought\n<channel|>");
}

struct Probe {
  std::string_view needle, lack;
};

constexpr Probe kProbes[] = {
    {"add_generation_prompt", "cannot end where the answer begins"},
    {"<|think|>", "has no switch for thinking"},
    {"<|tool>", "does not declare tools"},
    {"<|tool_response>", "does not show tools' results"},
    {"is none", "does not know null in tool calls"},
    {"<|image|>", "has no place for pictures"},
    {"<|audio|>", "has no place for sounds"},
};

void probe(std::string_view text, ChatTemplateReport& report) {
  report.findings.emplace_back("its text is none that Google published (of those known here)");
  if (!has(text, "<|turn>") || !has(text, "<turn|>")) {
    report.findings.emplace_back("it does not mark turns as Gemma 4 does");
    report.defect = true;
    return;
  }
  report.family = has_empty_thought(text) ? Family::large : Family::small;
  for (const Probe& p : kProbes)
    if (!has(text, p.needle)) report.findings.emplace_back(p.lack);
}

void compare_family(const Config& config, ChatTemplateReport& report) {
  const Family models = config.per_layer_dim > 0 ? Family::small : Family::large;
  if (report.family == Family::unknown || report.family == models) return;
  report.defect = true;
  report.same_as_ours = false;
  report.findings.emplace_back(
      models == Family::small
          ? "it begins answers with an empty thought, which E2B and E4B answer with stray thoughts"
          : "it does not begin answers with an empty thought, as 12B and larger models expect");
}

}  // namespace

std::string_view name_of(Family family) {
  switch (family) {
    case Family::small:
      return "E2B, E4B";
    case Family::large:
      return "12B, 26B-A4B, 31B";
    case Family::unknown:
      return "unknown";
  }
  return "";
}

ChatTemplateReport examine_chat_template(std::string_view text, const Config& config) {
  ChatTemplateReport report;
  report.present = true;
  report.sha256 = sha256_hex(text);
  for (const Published& published : kPublished) {
    if (report.sha256 != published.sha256) continue;
    report.revision = published.revision;
    report.family = published.family;
    add_differences(published.revision, report);
  }
  if (report.revision.empty()) probe(without_comments(text), report);
  compare_family(config, report);
  return report;
}

ChatTemplateReport examine_chat_template(const gguf::Metadata& metadata, const Config& config) {
  const auto text = metadata.text("tokenizer.chat_template");
  if (text) return examine_chat_template(*text, config);
  ChatTemplateReport report;
  report.findings.emplace_back("the file has none; Carat does not need it, other programs do");
  return report;
}

}  // namespace carat
