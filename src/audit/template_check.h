// The chat template of a file.
#pragma once

#include <cstdint>
#include <string>

#include "audit/finding.h"
#include "gguf/metadata.h"
#include "model/config.h"

namespace carat {

struct TemplateFacts {
  bool present = false;
  uint64_t n_bytes = 0;
  std::string sha256;         // of its text; empty: absent
  std::string revision;       // the day of Google's text that it is; empty: it is none known
  bool same_as_ours = false;  // known to render every conversation as carat does
};

// `config` says which family of templates the model belongs to; nullptr: it could not be read, and the
// template is not examined. `name` is what the file calls itself and is called: base models have no template.
TemplateFacts check_template(const gguf::Metadata& metadata, const Config* config, std::string_view name,
                             Findings& findings);

}  // namespace carat
