// The tokenizer part of a Gemma 4 file: token types, special ids and flags, looked at in the metadata itself,
// because what Carat would repair or refuse when it loads the file is just what other programs stumble over.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "audit/finding.h"
#include "gguf/metadata.h"

namespace carat {

struct VocabularyFacts {
  struct Special {
    int64_t token;
    std::string text;  // printable
  };
  int64_t n_tokens = 0, n_merges = 0;
  std::optional<Special> bos;              // as the file says
  std::vector<Special> end_of_generation;  // what ends an answer, ids ascending
  std::optional<bool> adds_bos;            // nothing: the file does not say
};

// Safe on untrusted metadata. Findings are appended, at most a few for each rule.
VocabularyFacts check_vocabulary(const gguf::Metadata& metadata, Findings& findings);

}  // namespace carat
