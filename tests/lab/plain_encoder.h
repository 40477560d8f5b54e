// The encoder's rule in its plainest form, over whole texts: symbols are joined lowest rank first, leftmost
// first.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/metadata.h"

namespace carat::lab {

inline std::vector<std::string_view> texts_of(const gguf::Metadata& metadata, std::string_view key) {
  const auto texts = metadata.texts(key);
  CHECK(texts.has_value());
  return {texts->begin(), texts->end()};
}

class PlainEncoder {
 public:
  explicit PlainEncoder(const gguf::Metadata& metadata) {
    for (const std::string_view token : texts_of(metadata, "tokenizer.ggml.tokens"))
      ids_.emplace(std::string(token), static_cast<int32_t>(ids_.size()));
    int rank = 0;
    for (const std::string_view merge : texts_of(metadata, "tokenizer.ggml.merges")) {
      const size_t space = merge.find(' ', 1);
      ranks_.emplace(std::pair(std::string(merge.substr(0, space)), std::string(merge.substr(space + 1))),
                     rank++);
    }
  }

  std::vector<int32_t> encode(std::string_view text) const {
    std::vector<std::string> symbols;
    for (const char c : text) symbols.push_back(c == ' ' ? "\u2581" : std::string(1, c));
    for (;;) {
      size_t best = symbols.size();
      int best_rank = INT32_MAX;
      for (size_t i = 0; i + 1 < symbols.size(); ++i) {
        const auto found = ranks_.find({symbols[i], symbols[i + 1]});
        if (found == ranks_.end() || found->second >= best_rank) continue;
        best = i;
        best_rank = found->second;
      }
      if (best == symbols.size()) break;
      symbols[best] += symbols[best + 1];
      symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    std::vector<int32_t> tokens;
    for (const std::string& symbol : symbols) tokens.push_back(ids_.at(symbol));
    return tokens;
  }

 private:
  std::map<std::string, int32_t> ids_;
  std::map<std::pair<std::string, std::string>, int> ranks_;
};

}  // namespace carat::lab
