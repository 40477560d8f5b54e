// Byte pair encoding over code points. Fast for three reasons: the result of a merge is looked up with its
// rank, not spelled; text is cut where no merge can reach across, which is exact and leaves words of a few
// code points; and such words need no queue.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/symbols.h"

namespace carat {

// Between which code points a merge may join two pieces, by class: ASCII apart, the space apart, others by
// their first byte. Says yes too often, never no too often.
class MergeBorders {
 public:
  using Class = uint8_t;
  // Of the code point at the start of `text`, which may stand for the space itself or for U+2581.
  static Class class_of(std::string_view text);

  void add(std::string_view left, std::string_view right);
  bool may_merge(Class left, Class right) const { return pairs_[left << 8 | right]; }

 private:
  std::bitset<1 << 16> pairs_;
};

// A piece of text after all merges: [begin, begin + length) and its symbol, if it has one.
struct BpePiece {
  uint32_t begin, length;
  uint32_t id;  // SymbolTable::kNone: none
};

// Opening a model must not wait for half a million merges that it may never need: their tables are built when
// the first text is encoded.
class BytePairEncoder {
 public:
  explicit BytePairEncoder(uint64_t seed = process_seed()) : symbols_(seed), seed_(seed) {}

  // The tokens, under their own ids; complete before the first encode().
  SymbolTable& symbols() { return symbols_; }
  const SymbolTable& symbols() const { return symbols_; }

  // "left right", most urgent first: the first space after the first byte parts them, since neither contains
  // one. Call once.
  Result<void> set_merges(std::span<const std::string_view> texts);

  // Appends the pieces of `text`, in which spaces stand as such: from single code points (or bytes, where it
  // is not UTF-8), the adjacent pair of the lowest rank merges, the leftmost on ties, until none is left. O(n
  // log n). Any thread.
  void encode(std::string_view text, std::vector<BpePiece>& pieces) const;

 private:
  struct Tables {
    MergeTable merges;
    MergeBorders borders;
    SymbolTable pieces;               // of merges, that are no tokens; their ids follow the tokens'
    std::array<uint32_t, 128> ascii;  // symbols of single bytes; of ' ': U+2581's
  };
  const Tables& tables() const;
  Tables build() const;
  std::string_view merge_text(size_t i) const;
  uint32_t behind_tokens(uint32_t piece) const;
  // Ids of tokens, or of pieces, which are added where they are new.
  void look_up(std::span<const std::string_view> texts, SymbolTable& pieces, std::span<uint32_t> ids) const;
  uint32_t symbol_of(std::string_view code_point, const Tables& tables) const;

  SymbolTable symbols_;
  uint64_t seed_;
  mutable std::once_flag built_;
  mutable std::optional<Tables> tables_;
  mutable std::string merge_texts_;           // until they are built, one behind the other,
  mutable std::vector<uint32_t> merge_ends_;  // each up to here
};

}  // namespace carat
