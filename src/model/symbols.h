// The tokenizer's tables: strings to dense ids, and which pair of ids merges into what. Flat open
// addressing, because half a million entries are filled each time a model opens. Files are untrusted: hashes
// depend on a secret of the process, so that nobody can write a vocabulary whose entries all collide. Ids,
// ranks and tokens do not depend on it.
#pragma once

#include <cstdint>
#include <span>
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
  uint32_t intern(std::string_view text) { return intern(text, key_of(text)); }
  // Of many texts at once, at most kBatch: memory latency is what a look-up costs, and the texts wait for it
  // together. ids: one for each.
  static constexpr size_t kBatch = 96;
  void intern(std::span<const std::string_view> texts, std::span<uint32_t> ids);
  void find(std::span<const std::string_view> texts, std::span<uint32_t> ids) const;

  // Of `left` and `right` joined. `guess`: an id that it may have, or have few below it; published merges are
  // in the order of what they make, so the one before is a good guess.
  uint32_t find_joined(std::string_view left, std::string_view right, uint32_t guess) const;

  // A symbol that find() never returns.
  uint32_t add_hidden(std::string_view text);

  size_t longest_probe() const;  // slots looked at to find an entry, at most; a check of the hash

 private:
  // A text of up to 8 bytes is the number that its bytes make, so most look-ups touch nothing but a slot. Of
  // a longer one the number is a hash, and equal ones compare texts.
  struct Key {
    uint64_t number;
    uint32_t length;
    bool operator==(const Key&) const = default;
  };
  struct Slot {  // 16 bytes, four to a cache line
    uint64_t number = 0;
    uint32_t length = 0;
    uint32_t id = kNone;
    Key key() const { return {number, length}; }
  };
  Key key_of(std::string_view text) const;
  void prefetch(std::span<const std::string_view> texts, std::span<Key> keys) const;  // fills keys
  size_t home(Key key) const;
  size_t probe(std::string_view text, Key key) const;  // the slot that holds `text` or should
  uint32_t intern(std::string_view text, Key key);
  void rehash(size_t n_slots);

  uint64_t seed_;
  std::vector<char> characters_;
  std::vector<uint64_t> ends_;  // of each symbol in characters_
  std::vector<Slot> slots_ = std::vector<Slot>(16);
  size_t n_used_ = 0;
};

// (left id, right id) -> what they merge into, and how soon. The first entry of a pair stays.
class MergeTable {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Merge {
    uint32_t rank = kNone;  // the lowest goes first; kNone: they do not merge
    uint32_t merged = SymbolTable::kNone;
  };

  explicit MergeTable(size_t max_pairs = 0, uint64_t seed = process_seed());

  void add(uint32_t left, uint32_t right, Merge merge);
  void prefetch(uint32_t left, uint32_t right) const;  // what add() will touch
  Merge find(uint32_t left, uint32_t right) const;

  size_t longest_probe() const;  // as SymbolTable's

 private:
  // Key and value share a cache line: a look-up costs one miss.
  struct Slot {
    uint64_t key;
    Merge merge;
  };
  size_t home(uint64_t key) const;
  size_t probe(uint64_t key) const;

  uint64_t seed_;
  std::vector<Slot> slots_;
};

// Bytes of the code point at the start of `text`; 1 where it is not valid UTF-8. `text` is not empty.
size_t code_point_length(std::string_view text);

}  // namespace carat
