// The tokenizer's tables: strings to dense ids, and which pair of ids merges at which rank. Flat open
// addressing, because half a million entries are filled each time a model opens. Files are untrusted: hashes depend on
// a secret of the process, so that nobody can write a vocabulary whose entries all collide. Ids, ranks and tokens do
// not depend on it.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace carat {

// Random, chosen once per process.
uint64_t process_seed();

// Strings numbered from 0 in the order of their arrival.
class SymbolTable {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  explicit SymbolTable(uint64_t seed = process_seed()) : seed_(seed) {}

  // Sizes the table for `n` symbols; more still fit.
  void reserve(size_t n);

  size_t size() const { return ends_.size(); }
  std::string_view text(uint32_t id) const;
  uint32_t find(std::string_view text) const;  // kNone: absent
  // The id of `text`, which is added if absent.
  uint32_t intern(std::string_view text) { return intern(text, hash_of(text)); }

  // For loops over many texts, where memory latency is what costs: hash a batch, then look it up.
  uint32_t hash_of(std::string_view text) const;
  void prefetch(uint32_t hash) const { __builtin_prefetch(&slots_[hash & (slots_.size() - 1)]); }
  uint32_t intern(std::string_view text, uint32_t hash);

  // A symbol that find() never returns.
  uint32_t add_hidden(std::string_view text);

  size_t longest_probe() const;  // slots looked at to find an entry, at most; a check of the hash

 private:
  struct Slot {
    uint32_t hash = 0;
    uint32_t id = kNone;
  };
  size_t probe(std::string_view text, uint32_t hash) const;  // the slot that holds `text` or should
  void rehash(size_t n_slots);

  uint64_t seed_;
  std::vector<char> characters_;
  std::vector<uint64_t> ends_;  // of each symbol in characters_
  std::vector<Slot> slots_ = std::vector<Slot>(16);
  size_t n_used_ = 0;
};

// (left id, right id) -> rank. The first rank of a pair stays.
class MergeTable {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  explicit MergeTable(size_t max_pairs = 0, uint64_t seed = process_seed());

  void add(uint32_t left, uint32_t right, uint32_t rank);
  void prefetch(uint32_t left, uint32_t right) const;  // what add() will touch
  uint32_t rank(uint32_t left, uint32_t right) const;  // kNone: they do not merge

  size_t longest_probe() const;  // as SymbolTable's

 private:
  size_t home(uint64_t key) const;
  size_t probe(uint64_t key) const;

  uint64_t seed_;
  std::vector<uint64_t> keys_;
  std::vector<uint32_t> ranks_;
};

// One piece of a run after all merges: text [begin, begin + length) and its symbol, if it has one.
struct BpePiece {
  uint32_t begin, length;
  uint32_t id;  // SymbolTable::kNone: none
};

// Byte pair encoding of one run: from single code points (or single bytes where `run` is not UTF-8), the
// adjacent pair of the lowest rank merges, the leftmost on ties, until none is left. O(n log n).
void encode_run(const SymbolTable& symbols, const MergeTable& merges, std::string_view run,
                std::vector<BpePiece>& pieces);

// Bytes of the code point at the start of `text`; 1 where it is not valid UTF-8. `text` is not empty.
size_t code_point_length(std::string_view text);

}  // namespace carat
