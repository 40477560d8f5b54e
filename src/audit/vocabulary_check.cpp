// Rules about the vocabulary, one function each.
#include "audit/vocabulary_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "gguf/layout.h"

namespace carat {
namespace {

using gguf::Metadata;

enum Kind : int64_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

std::string name_of_kind(int64_t kind) {
  constexpr std::string_view kNames[] = {"NORMAL", "UNKNOWN", "CONTROL", "USER_DEFINED", "UNUSED", "BYTE"};
  return kind >= 1 && kind <= 6 ? std::string(kNames[kind - 1]) : fmt::format("type {}", kind);
}

// Tokens that no user's text may contain and no answer may show.
constexpr std::string_view kControlTokens[] = {
    "<pad>",   "<eos>",    "<bos>",    "<mask>",    "<|tool>",   "<tool|>",  "<|think|>", "<|turn>",
    "<turn|>", "<|image>", "<|audio>", "<|image|>", "<|audio|>", "<image|>", "<audio|>",  "<|video|>"};

// Tokens that programs must see in an answer; CONTROL is common, too.
constexpr std::string_view kVisibleTokens[] = {"<|tool_call>", "<tool_call|>", "<tool_response|>",
                                               "<|\"|>",       "<|channel>",   "<channel|>"};

constexpr std::string_view kToolResponse = "<|tool_response>";
constexpr std::string_view kEndTokens[] = {"<eos>", "<turn|>", kToolResponse};

// The vocabulary as far as the file has one that makes sense.
struct Vocabulary {
  std::span<const std::string_view> texts;
  std::vector<int64_t> kinds;                              // one per token, or empty
  std::unordered_map<std::string_view, int64_t> specials;  // of the tokens that rules speak of: text -> id

  int64_t find(std::string_view text) const {
    const auto found = specials.find(text);
    return found == specials.end() ? -1 : found->second;
  }
  std::string name(int64_t token) const {
    return fmt::format("token {} {}", token, gguf::printable(texts[static_cast<size_t>(token)]));
  }
  int64_t kind(int64_t token) const { return kinds[static_cast<size_t>(token)]; }
};

bool is_byte_text(std::string_view text) {
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); };
  return text.size() == 6 && text.starts_with("<0x") && text[5] == '>' && is_digit(text[3]) &&
         is_digit(text[4]);
}

void index_specials(Vocabulary& vocabulary) {
  for (size_t i = 0; i < vocabulary.texts.size(); ++i)
    if (const auto text = vocabulary.texts[i]; text.size() >= 3 && text.size() <= 20 && text.front() == '<')
      vocabulary.specials.try_emplace(text, static_cast<int64_t>(i));
}

void check_kinds_array(const Metadata& metadata, Vocabulary& vocabulary, Findings& findings) {
  constexpr std::string_view key = "tokenizer.ggml.token_type";
  if (!metadata.contains(key)) {
    add_defect(
        findings, "token-types-missing", "no token has a type (tokenizer.ggml.token_type is missing)",
        "Control tokens in a user's text would be obeyed, or shown in answers. Convert the model again.");
    return;
  }
  auto kinds = metadata.integers(key, 1);
  const size_t n = vocabulary.texts.size();
  if (!kinds || kinds->size() != n) {
    add_defect(findings, "token-types-length",
               kinds ? fmt::format("{} token types for {} tokens", kinds->size(), n) : kinds.error().message,
               "The file is damaged or was edited badly. Get it again, or convert the model again.");
    return;
  }
  vocabulary.kinds = kinds.take();
}

void check_control_tokens(const Vocabulary& vocabulary, Findings& findings) {
  for (const std::string_view text : kControlTokens) {
    const int64_t token = vocabulary.find(text);
    if (token < 0 || vocabulary.kind(token) == kControl) continue;
    if (text == "<mask>" && vocabulary.kind(token) == kUnknown) continue;
    add_defect(
        findings, "token-type",
        fmt::format("{} is typed {} instead of CONTROL", vocabulary.name(token),
                    name_of_kind(vocabulary.kind(token))),
        text == "<eos>" || text == "<turn|>"
            ? "Programs may write it into the answer and go on instead of stopping (carat corrects it on "
              "loading). "
              "Take a corrected file."
            : "A user's text can contain it as a command, and answers can show it. Take a corrected file.");
  }
}

// It ends a tool call, so CONTROL is right. But llama.cpp's converter itself writes USER_DEFINED, as it does
// for the tokens of calls and thoughts: nearly every published file has that, and llama.cpp and carat correct
// it on loading. A defect that all files have tells nobody which one to take, so that alone is a note. With
// any other type the token is not even found in a text, and its prompts break.
void check_tool_response(const Vocabulary& vocabulary, Findings& findings) {
  const int64_t token = vocabulary.find(kToolResponse);
  if (token < 0 || vocabulary.kind(token) == kControl) return;
  std::string what = fmt::format("{} is typed {} instead of CONTROL", vocabulary.name(token),
                                 name_of_kind(vocabulary.kind(token)));
  if (vocabulary.kind(token) == kUserDefined)
    add_note(
        findings, "tool-response-type", std::move(what),
        "As llama.cpp's converter types it; carat and llama.cpp correct it on loading. It is what the model "
        "ends a tool call with: other programs that trust the type do not stop there.");
  else
    add_defect(
        findings, "tool-response-type", std::move(what),
        "It is what the model ends a tool call with: programs that trust the type neither stop there nor "
        "read it in a prompt, and tool calling looks worse than the model is. Take a corrected file.");
}

void check_visible_tokens(const Vocabulary& vocabulary, Findings& findings) {
  for (const std::string_view text : kVisibleTokens) {
    const int64_t token = vocabulary.find(text);
    if (token < 0 || vocabulary.kind(token) == kControl || vocabulary.kind(token) == kUserDefined) continue;
    add_defect(findings, "token-type",
               fmt::format("{} is typed {} instead of USER_DEFINED or CONTROL", vocabulary.name(token),
                           name_of_kind(vocabulary.kind(token))),
               "Prompts that contain it are cut into letters, so tool calls and thinking break. Take a "
               "corrected file.");
  }
}

// One finding for all of them: a converter gets all bytes wrong, or none.
void check_byte_tokens(const Vocabulary& vocabulary, Findings& findings) {
  int64_t n_bytes = 0, n_wrong = 0, first_wrong = -1;
  for (size_t i = 0; i < vocabulary.texts.size(); ++i) {
    if (!is_byte_text(vocabulary.texts[i])) continue;
    ++n_bytes;
    if (vocabulary.kinds[i] != kByte && n_wrong++ == 0) first_wrong = static_cast<int64_t>(i);
  }
  if (n_wrong > 0)
    add_defect(findings, "byte-tokens",
               fmt::format("{} of {} byte tokens are not typed BYTE, the first is {}", n_wrong, n_bytes,
                           vocabulary.name(first_wrong)),
               "Rare characters and emoji come out as <0x…>. Take a corrected file.");
  else if (n_bytes < 256)
    add_defect(findings, "byte-tokens", fmt::format("only {} of 256 byte tokens are there", n_bytes),
               "Some characters cannot be read or written. This is not a whole Gemma 4 vocabulary.");
}

void check_kind_values(const Vocabulary& vocabulary, Findings& findings) {
  const auto bad = std::find_if(vocabulary.kinds.begin(), vocabulary.kinds.end(),
                                [](int64_t k) { return k < 1 || k > 6; });
  if (bad == vocabulary.kinds.end()) return;
  add_defect(findings, "token-type",
             fmt::format("{} has the type {}, which does not exist",
                         vocabulary.name(bad - vocabulary.kinds.begin()), *bad),
             "The file is damaged or was edited badly. Get it again, or convert the model again.");
}

std::optional<int64_t> id_of(const Metadata& metadata, std::string_view key, const Vocabulary& vocabulary,
                             Findings& findings) {
  if (!metadata.contains(key)) return std::nullopt;
  const auto id = metadata.integer(key, 0, static_cast<int64_t>(vocabulary.texts.size()) - 1);
  if (id) return *id;
  add_defect(findings, "special-id", id.error().message, "The file is damaged or was edited badly.");
  return std::nullopt;
}

void check_bos(const Metadata& metadata, const Vocabulary& vocabulary, VocabularyFacts& facts,
               Findings& findings) {
  const int64_t expected = vocabulary.find("<bos>");
  const auto bos = id_of(metadata, "tokenizer.ggml.bos_token_id", vocabulary, findings);
  if (bos) facts.bos = {*bos, gguf::printable(vocabulary.texts[static_cast<size_t>(*bos)])};
  if (expected < 0)
    add_defect(findings, "bos", "the vocabulary has no <bos>", "This is not a Gemma 4 vocabulary.");
  else if (!bos)
    add_defect(findings, "bos",
               "the file does not say which token begins a text (tokenizer.ggml.bos_token_id)",
               "Without <bos> in front Gemma 4 writes nonsense. Take a corrected file.");
  else if (*bos != expected)
    add_defect(findings, "bos",
               fmt::format("texts are said to begin with {}, not with <bos>", vocabulary.name(*bos)),
               "Without <bos> in front Gemma 4 writes nonsense. Take a corrected file.");
}

void check_flags(const Metadata& metadata, VocabularyFacts& facts, Findings& findings) {
  if (metadata.contains("tokenizer.ggml.add_bos_token")) {
    if (const auto adds = metadata.boolean_or("tokenizer.ggml.add_bos_token", true)) facts.adds_bos = *adds;
  }
  if (facts.adds_bos && !*facts.adds_bos)
    add_defect(findings, "add-bos",
               "the file says that no <bos> is to be put in front (add_bos_token is false)",
               "Without <bos> in front Gemma 4 writes nonsense. Carat and llama.cpp put it there all the "
               "same; elsewhere take a "
               "corrected file.");
  for (const std::string_view key : {"tokenizer.ggml.add_eos_token", "tokenizer.ggml.add_space_prefix"}) {
    const auto value = metadata.boolean_or(key, false);
    if (value && *value)
      add_defect(findings, "tokenizer-flag", fmt::format("{} is true", key),
                 "Gemma 4 wants neither: prompts would be cut into other tokens than in training.");
  }
}

void check_end(const Metadata& metadata, const Vocabulary& vocabulary, VocabularyFacts& facts,
               Findings& findings) {
  std::vector<int64_t> ends;
  for (const std::string_view text : kEndTokens)
    if (const int64_t token = vocabulary.find(text); token >= 0) ends.push_back(token);
  const auto is_end = [&](int64_t token) { return std::find(ends.begin(), ends.end(), token) != ends.end(); };
  const auto eos = id_of(metadata, "tokenizer.ggml.eos_token_id", vocabulary, findings);
  if (eos && !is_end(*eos))
    add_defect(findings, "eos", fmt::format("answers are said to end with {}", vocabulary.name(*eos)),
               "Gemma 4 ends them with <turn|> or <eos>: programs that trust the file never stop. Take a "
               "corrected file.");
  for (const std::string_view text : {"<eos>", "<turn|>"})
    if (vocabulary.find(text) < 0)
      add_defect(findings, "eos", fmt::format("the vocabulary has no {}", text),
                 "This is not a Gemma 4 vocabulary.");
  std::sort(ends.begin(), ends.end());
  for (const int64_t token : ends)
    facts.end_of_generation.push_back({token, gguf::printable(vocabulary.texts[static_cast<size_t>(token)])});
}

void check_model_and_merges(const Metadata& metadata, VocabularyFacts& facts, Findings& findings) {
  const auto model = metadata.text("tokenizer.ggml.model");
  if (!model || *model != "gemma4")
    add_defect(
        findings, "tokenizer-model",
        fmt::format("the tokenizer is '{}', not 'gemma4'", model ? gguf::printable(*model) : "unknown"),
        "Text would be cut into the wrong tokens. The file was made by an old converter: take a newer one.");
  if (const auto merges = metadata.texts("tokenizer.ggml.merges"))
    facts.n_merges = static_cast<int64_t>(merges->size());
  if (facts.n_merges == 0)
    add_defect(findings, "merges", "the tokenizer has no merges (tokenizer.ggml.merges)",
               "Text would be cut into single letters. Convert the model again.");
}

}  // namespace

VocabularyFacts check_vocabulary(const Metadata& metadata, Findings& findings) {
  VocabularyFacts facts;
  Vocabulary vocabulary;
  const auto texts = metadata.texts("tokenizer.ggml.tokens");
  if (!texts || texts->empty()) {
    add_defect(findings, "vocabulary", "the file has no vocabulary (tokenizer.ggml.tokens)",
               "It cannot turn text into tokens. Convert the model again, with its tokenizer.");
    return facts;
  }
  vocabulary.texts = *texts;
  facts.n_tokens = static_cast<int64_t>(texts->size());
  index_specials(vocabulary);
  check_model_and_merges(metadata, facts, findings);
  check_kinds_array(metadata, vocabulary, findings);
  if (!vocabulary.kinds.empty()) {
    check_kind_values(vocabulary, findings);
    check_control_tokens(vocabulary, findings);
    check_tool_response(vocabulary, findings);
    check_visible_tokens(vocabulary, findings);
    check_byte_tokens(vocabulary, findings);
  }
  check_bos(metadata, vocabulary, facts, findings);
  check_flags(metadata, facts, findings);
  check_end(metadata, vocabulary, facts, findings);
  return facts;
}

}  // namespace carat
