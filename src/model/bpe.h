// Byte pair encoding over code points. Fast for three reasons: the result of a merge is looked up with its
// rank, not spelled; text is cut where no merge can reach across, which is exact and leaves words of a few
// code points; and such words need no queue.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <span>
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

class BytePairEncoder {
 public:
  explicit BytePairEncoder(uint64_t seed = process_seed()) : symbols_(seed), merges_(0, seed), seed_(seed) {}

  // Tokens first, under their own ids; add_merges() adds pieces that are no tokens behind them.
  SymbolTable& symbols() { return symbols_; }
  const SymbolTable& symbols() const { return symbols_; }

  // "left right", most urgent first: the first space after the first byte parts them, since neither contains
  // one. Call once.
  Result<void> add_merges(std::span<const std::string_view> texts);

  // Appends the pieces of `text`, in which spaces stand as such: from single code points (or bytes, where it
  // is not UTF-8), the adjacent pair of the lowest rank merges, the leftmost on ties, until none is left. O(n
  // log n).
  void encode(std::string_view text, std::vector<BpePiece>& pieces) const;

 private:
  uint32_t symbol_of(std::string_view code_point) const;

  SymbolTable symbols_;
  MergeTable merges_;
  uint64_t seed_;
  MergeBorders borders_;
  std::array<uint32_t, 128> ascii_;  // symbols of single bytes; of ' ': U+2581's
};

}  // namespace carat
