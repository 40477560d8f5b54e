// What kind of file a GGUF file is, told from its keys: a Gemma 4 text model, one of its assistants, or
// something else that carries the name. Carat refuses what it would compute wrongly, and says what it was
// given.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"
#include "gguf/reader.h"

namespace carat {

inline constexpr std::string_view kGemma4 = "gemma4";  // general.architecture of a text model

// The ways in which files of MTP assistants are written (reference sheet 3.3). Tensors and keys have three
// names each, and loading accepts any of them in any dialect.
struct AssistantDialect {
  std::string_view architecture;
  std::string_view backbone_width;  // key: width of the target's hidden states
  std::string_view n_centroids;     // key
  std::string_view pre_projection, post_projection, centroids, ordering;  // tensors
};
std::span<const AssistantDialect> assistant_dialects();
// nullptr: `architecture` is no assistant's.
const AssistantDialect* find_assistant_dialect(std::string_view architecture);

// Errors, one line that says what the file is and what was expected: a projector of images or sound, an
// adapter, an importance matrix, an assistant (or, for expect_assistant, a model), another architecture, a
// vocabulary without weights, Ollama's files of text, images and sound in one, and keys that ask for what
// Gemma 4 does not do.
Result<void> expect_text_model(const gguf::File& file);
// The assistant's dialect.
Result<const AssistantDialect*> expect_assistant(const gguf::File& file);

}  // namespace carat
