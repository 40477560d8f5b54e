// Finds special tokens in a text, in time that is linear in the text whatever the vocabulary.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace carat {

class SpecialTokens {
 public:
  // Longer ones are not taken: the longest piece of a published vocabulary has 93 bytes.
  static constexpr size_t kMaxLength = 256;

  struct Entry {
    std::string_view text;  // 1..kMaxLength bytes, no text twice; outlives this
    int32_t token;
    bool always;  // found in every text; otherwise only where the caller parses special tokens
  };
  struct Match {
    size_t begin, length;
    int32_t token;
  };

  SpecialTokens() = default;
  explicit SpecialTokens(std::vector<Entry> entries);

  // Matches in order. The longest are placed first, wherever they stand; equally long ones from the lower id
  // on, and each from left to right.
  std::vector<Match> find(std::string_view text, bool parse_special) const;

 private:
  const Entry* longest_at_start(std::string_view text, bool parse_special) const;

  std::vector<Entry> entries_;               // by text
  std::array<uint32_t, 257> first_byte_{};  // entries that begin with byte b: [first_byte_[b], first_byte_[b+1])
};

}  // namespace carat
