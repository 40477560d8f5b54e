// What a file is, beside what its names promise.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "audit/finding.h"
#include "audit/parts.h"
#include "gguf/reader.h"

namespace carat {

// "gemma-4-E4B-it-UD-Q4_K_XL.gguf" -> "UD-Q4_K_XL", "gemma-4-E2B_q4_0-it.gguf" -> "q4_0", as it is spelt
// there; empty: the name promises no type. Of several the last one counts.
std::string quantization_label(std::string_view file_name);

// The type that a label speaks of: "UD-Q4_K_XL" -> Q4_K; nothing: none that there is.
std::optional<TensorType> type_of_label(std::string_view label);

// "e4b" … where the file has that published shape; empty: another one.
std::string published_size_of(const gguf::File& file);

// Compares the names (of the file, and general.file_type) with what is inside.
void check_names(const gguf::File& file, std::string_view label, std::span<const PartFacts> parts,
                 Findings& findings);

}  // namespace carat
