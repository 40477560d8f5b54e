// Tables of what files say they are, and what that means.
#include "model/dialect.h"

#include <algorithm>
#include <array>
#include <string>

#include "gguf/layout.h"

namespace carat {
namespace {

constexpr std::array<AssistantDialect, 3> kAssistants{{
    {"gemma4-assistant", "embedding_length_out", "n_centroids", "nextn.pre_projection.weight",
     "nextn.post_projection.weight", "masked_embd_centroids.weight", "masked_embd_ordering"},
    {"gemma4_assistant", "n_embd_backbone", "n_centroids", "mtp.pre_projection.weight",
     "mtp.post_projection.weight", "mtp.centroids.weight", "mtp.token_ordering.weight"},
    {"gemma4_mtp", "backbone_embedding_length", "centroid_count", "mtp_pre_proj.weight",
     "mtp_post_proj.weight", "mtp_centroids.weight", "mtp_token_ordering.weight"},
}};

struct Kind {
  std::string_view value, what;
};

// general.type, where it is not "model".
constexpr Kind kTypes[] = {
    {"adapter", "a LoRA adapter"},
    {"imatrix", "an importance matrix"},
    {"mmproj", "a projector of images or sound (mmproj)"},
    {"vocab", "a vocabulary without weights"},
};

constexpr Kind kArchitectures[] = {
    {"clip", "a projector of images or sound (mmproj)"},
    {"gemma", "a Gemma 1 model"},
    {"gemma2", "a Gemma 2 model"},
    {"gemma3", "a Gemma 3 model"},
    {"gemma3n", "a Gemma 3n model"},
    {"gemma-embedding", "an EmbeddingGemma model"},
};

const Kind* find(std::span<const Kind> kinds, std::string_view value) {
  const auto kind = std::ranges::find(kinds, value, &Kind::value);
  return kind == kinds.end() ? nullptr : &*kind;
}

// The text of a key; empty if it is absent or no text.
std::string_view text_or_nothing(const gguf::Metadata& metadata, std::string_view key) {
  const gguf::Value* value = metadata.find(key);
  const auto* text = value == nullptr ? nullptr : std::get_if<std::string>(value);
  return text == nullptr ? std::string_view() : std::string_view(*text);
}

// "a Gemma 3 model (key 'general.architecture': 'gemma3')"
std::string describe_architecture(std::string_view architecture) {
  const std::string stated = fmt::format("key 'general.architecture': '{}'", gguf::printable(architecture));
  if (const Kind* kind = find(kArchitectures, architecture))
    return fmt::format("{} ({})", kind->what, stated);
  if (find_assistant_dialect(architecture) != nullptr)
    return fmt::format("an MTP assistant, which drafts for a model ({})", stated);
  if (architecture == kGemma4) return fmt::format("a Gemma 4 model, not an assistant ({})", stated);
  return stated;
}

Result<std::string_view> architecture_of(const gguf::File& file, std::string_view expected) {
  const std::string_view type = text_or_nothing(file.metadata, "general.type");
  if (const Kind* kind = find(kTypes, type))
    return fail("{}: {} (key 'general.type': '{}'), expected {}", file.path, kind->what, type, expected);
  const auto architecture = file.metadata.text("general.architecture");
  if (!architecture) return fail("{}: {}", file.path, architecture.error().message);
  return *architecture;
}

Result<void> expect_weights(const gguf::File& file, std::string_view expected) {
  if (!file.tensors.empty()) return {};
  return fail("{}: a vocabulary without weights (no tensors), expected {}", file.path, expected);
}

// Ollama keeps text, images and sound in one file, whose text part is laid out in another way.
Result<void> refuse_monoliths(const gguf::File& file) {
  for (const gguf::Metadata::Entry& entry : file.metadata.entries())
    for (const std::string_view part : {"gemma4.vision.", "gemma4.audio."})
      if (entry.key.starts_with(part))
        return fail(
            "{}: Ollama's dialect, text, images and sound in one file (key '{}'), expected the text model "
            "alone",
            file.path, gguf::printable(entry.key));
  for (const Tensor& tensor : file.tensors)
    for (const std::string_view prefix : {"v.", "a.", "mm."})
      if (tensor.name.starts_with(prefix))
        return fail("{}: holds parts for images or sound too (tensor '{}'), expected the text model alone",
                    file.path, gguf::printable(tensor.name));
  return {};
}

// Keys that other architectures have and Gemma 4 does not: anything but the value that changes nothing is
// refused.
Result<void> check_neutral_keys(const gguf::File& file, std::string_view architecture) {
  const gguf::Metadata& metadata = file.metadata;
  const auto name = [&](std::string_view key) { return fmt::format("{}.{}", architecture, key); };
  struct Neutral {
    std::string_view key;
    double value;
  };
  for (const auto& [key, value] : {Neutral{"attention.scale", 1},
                                   {"attn_logit_softcapping", 0},
                                   {"rope.scaling.factor", 1},
                                   {"attention.clamp_kqv", 0},
                                   {"logit_scale", 1}}) {
    const auto number = metadata.number_or(name(key), value);
    if (!number) return fail("{}: {}", file.path, number.error().message);
    if (*number != value)
      return fail("{}: key '{}': {}, expected {} or no such key: Gemma 4 has nothing of the kind", file.path,
                  name(key), *number, value);
  }
  const auto causal = metadata.boolean_or(name("attention.causal"), true);
  if (!causal) return fail("{}: {}", file.path, causal.error().message);
  if (!*causal) return fail("{}: key '{}': false, expected true", file.path, name("attention.causal"));
  const std::string_view scaling = text_or_nothing(metadata, name("rope.scaling.type"));
  if (!scaling.empty() && scaling != "none")
    return fail("{}: key '{}': '{}', expected 'none' or no such key", file.path, name("rope.scaling.type"),
                gguf::printable(scaling));
  return {};
}

}  // namespace

std::span<const AssistantDialect> assistant_dialects() { return kAssistants; }

const AssistantDialect* find_assistant_dialect(std::string_view architecture) {
  const auto dialect = std::ranges::find(kAssistants, architecture, &AssistantDialect::architecture);
  return dialect == kAssistants.end() ? nullptr : &*dialect;
}

Result<void> expect_text_model(const gguf::File& file) {
  constexpr std::string_view expected = "a Gemma 4 model ('gemma4')";
  const std::string_view architecture = TRY(architecture_of(file, expected));
  if (architecture != kGemma4)
    return fail("{}: {}, expected {}", file.path, describe_architecture(architecture), expected);
  TRY(expect_weights(file, expected));
  TRY(refuse_monoliths(file));
  return check_neutral_keys(file, kGemma4);
}

Result<const AssistantDialect*> expect_assistant(const gguf::File& file) {
  constexpr std::string_view expected =
      "an MTP assistant ('gemma4-assistant', 'gemma4_assistant' or 'gemma4_mtp')";
  const std::string_view architecture = TRY(architecture_of(file, expected));
  const AssistantDialect* dialect = find_assistant_dialect(architecture);
  if (dialect == nullptr)
    return fail("{}: {}, expected {}", file.path, describe_architecture(architecture), expected);
  TRY(expect_weights(file, expected));
  TRY(check_neutral_keys(file, architecture));
  return dialect;
}

}  // namespace carat
