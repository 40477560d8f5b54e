// The chat template of a file.
#pragma once

#include <cstdint>
#include <string>

#include "audit/finding.h"
#include "gguf/metadata.h"

namespace carat {

struct TemplateFacts {
  bool present = false;
  uint64_t n_bytes = 0;
  std::string sha256;  // of its text; empty: absent
};

// `name` is what the file calls itself and is called: base models have no template.
TemplateFacts check_template(const gguf::Metadata& metadata, std::string_view name, Findings& findings);

}  // namespace carat
