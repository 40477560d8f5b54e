// Open addressing with linear probing, at most half full.
#include "model/symbols.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstring>
#include <string>

#include "base/check.h"
#include "base/random.h"

namespace carat {
namespace {

constexpr uint64_t kEmptyKey = UINT64_MAX;  // (kNone, kNone) is never added

uint64_t key_of(uint32_t left, uint32_t right) { return uint64_t{left} << 32 | right; }

// Half full at most. Of 262,144 symbols exactly half: twice the table would be twice the cache.
size_t slots_for(size_t n) { return std::bit_ceil(std::max<size_t>(n * 2, 16)); }

uint64_t random_seed() {
  uint64_t seed = 0;
  if (::getrandom(&seed, sizeof seed, 0) == static_cast<ssize_t>(sizeof seed)) return seed;
  // No such call here: the clock and where the loader put us are better than a constant.
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  return mix64(static_cast<uint64_t>(now) ^ reinterpret_cast<uintptr_t>(&random_seed));
}

}  // namespace

uint64_t process_seed() {
  static const uint64_t seed = random_seed();
  return seed;
}

namespace {

template <class Word>
uint64_t load(const char* bytes) {
  Word word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

// Up to 8 bytes as one number, zeros behind them.
uint64_t number_of(std::string_view text) {
  const char* bytes = text.data();
  const size_t n = text.size();
  if (n >= 4) return load<uint32_t>(bytes) | load<uint32_t>(bytes + n - 4) << 8 * (n - 4);
  if (n == 0) return 0;
  return load<uint8_t>(bytes) | load<uint8_t>(bytes + n / 2) << 8 * (n / 2) |
         load<uint8_t>(bytes + n - 1) << 8 * (n - 1);
}

}  // namespace

SymbolTable::Key SymbolTable::key_of(std::string_view text) const {
  const uint32_t length = static_cast<uint32_t>(std::min<size_t>(text.size(), UINT32_MAX));
  if (text.size() <= 8) return {number_of(text), length};
  uint64_t hash = mix64(seed_ ^ text.size());
  for (size_t i = 0; i + 8 < text.size(); i += 8) hash = mix64(hash ^ load<uint64_t>(text.data() + i));
  return {mix64(hash ^ load<uint64_t>(text.data() + text.size() - 8)), length};
}

// The secret enters before the mixing and in its midst: without it, numbers that collide cannot be computed.
size_t SymbolTable::home(Key key) const {
  return mix64(mix64(key.number ^ seed_) + seed_) & (slots_.size() - 1);
}

void SymbolTable::reserve(size_t n) {
  ends_.reserve(n);
  if (slots_for(n) > slots_.size()) rehash(slots_for(n));
}

std::string_view SymbolTable::text(uint32_t id) const {
  CHECK(id < ends_.size());
  const uint64_t begin = id == 0 ? 0 : ends_[id - 1];
  return {characters_.data() + begin, ends_[id] - begin};
}

uint32_t SymbolTable::find(std::string_view text) const { return slots_[probe(text, key_of(text))].id; }

uint32_t SymbolTable::intern(std::string_view text, Key key) {
  size_t slot = probe(text, key);
  if (slots_[slot].id != kNone) return slots_[slot].id;
  if ((n_used_ + 1) * 2 > slots_.size()) {
    rehash(slots_.size() * 2);
    slot = probe(text, key);
  }
  ++n_used_;
  slots_[slot] = {key.number, key.length, add_hidden(text)};
  return slots_[slot].id;
}

void SymbolTable::prefetch(std::span<const std::string_view> texts, std::span<Key> keys) const {
  CHECK(texts.size() <= keys.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    keys[i] = key_of(texts[i]);
    __builtin_prefetch(&slots_[home(keys[i])]);
  }
  // For long texts two more misses follow from the first: where the symbol's text lies, and the text.
  const auto each_long = [&](auto&& step) {
    for (size_t i = 0; i < texts.size(); ++i) {
      if (keys[i].length <= 8) continue;
      const Slot& slot = slots_[home(keys[i])];
      if (slot.id != kNone) step(slot.id);
    }
  };
  each_long([&](uint32_t id) { __builtin_prefetch(&ends_[id]); });
  each_long([&](uint32_t id) { __builtin_prefetch(text(id).data()); });
}

void SymbolTable::intern(std::span<const std::string_view> texts, std::span<uint32_t> ids) {
  CHECK(ids.size() == texts.size());
  std::array<Key, kBatch> keys;
  prefetch(texts, keys);
  for (size_t i = 0; i < texts.size(); ++i) ids[i] = intern(texts[i], keys[i]);
}

void SymbolTable::find(std::span<const std::string_view> texts, std::span<uint32_t> ids) const {
  CHECK(ids.size() == texts.size());
  std::array<Key, kBatch> keys;
  prefetch(texts, keys);
  for (size_t i = 0; i < texts.size(); ++i) ids[i] = slots_[probe(texts[i], keys[i])].id;
}

uint32_t SymbolTable::find_joined(std::string_view left, std::string_view right, uint32_t guess) const {
  constexpr size_t kGuesses = 4;
  for (size_t id = guess; id < std::min(guess + kGuesses, size()); ++id) {
    const std::string_view whole = text(static_cast<uint32_t>(id));
    if (whole.size() == left.size() + right.size() && whole.starts_with(left) && whole.ends_with(right))
      return static_cast<uint32_t>(id);
  }
  return find(std::string(left).append(right));
}

uint32_t SymbolTable::add_hidden(std::string_view text) {
  CHECK(ends_.size() < kNone);
  characters_.insert(characters_.end(), text.begin(), text.end());
  ends_.push_back(characters_.size());
  return static_cast<uint32_t>(ends_.size() - 1);
}

size_t SymbolTable::probe(std::string_view text, Key key) const {
  const size_t mask = slots_.size() - 1;
  size_t i = home(key);
  while (slots_[i].id != kNone &&
         !(slots_[i].key() == key && (key.length <= 8 || this->text(slots_[i].id) == text)))
    i = (i + 1) & mask;
  return i;
}

void SymbolTable::rehash(size_t n_slots) {
  std::vector<Slot> old(n_slots);
  old.swap(slots_);
  const size_t mask = n_slots - 1;
  for (const Slot& slot : old) {
    if (slot.id == kNone) continue;
    size_t i = home(slot.key());
    while (slots_[i].id != kNone) i = (i + 1) & mask;
    slots_[i] = slot;
  }
}

size_t SymbolTable::longest_probe() const {
  size_t longest = 0;
  for (size_t i = 0; i < slots_.size(); ++i)
    if (slots_[i].id != kNone)
      longest = std::max(longest, ((i - home(slots_[i].key())) & (slots_.size() - 1)) + 1);
  return longest;
}

MergeTable::MergeTable(size_t max_pairs, uint64_t seed)
    : seed_(seed), slots_(slots_for(max_pairs), Slot{kEmptyKey, {}}) {}

size_t MergeTable::home(uint64_t key) const {
  return mix64(mix64(key ^ seed_) + seed_) & (slots_.size() - 1);
}

void MergeTable::add(uint32_t left, uint32_t right, Merge merge) {
  const uint64_t key = key_of(left, right);
  Slot& slot = slots_[probe(key)];
  if (slot.key != key) slot = {key, merge};
}

void MergeTable::prefetch(uint32_t left, uint32_t right) const {
  __builtin_prefetch(&slots_[home(key_of(left, right))], 1);
}

MergeTable::Merge MergeTable::find(uint32_t left, uint32_t right) const {
  if (left == SymbolTable::kNone || right == SymbolTable::kNone) return {};
  const uint64_t key = key_of(left, right);
  const Slot& slot = slots_[probe(key)];
  return slot.key == key ? slot.merge : Merge{};
}

size_t MergeTable::probe(uint64_t key) const {
  const size_t mask = slots_.size() - 1;
  size_t i = home(key);
  while (slots_[i].key != kEmptyKey && slots_[i].key != key) i = (i + 1) & mask;
  return i;
}

size_t MergeTable::longest_probe() const {
  size_t longest = 0;
  for (size_t i = 0; i < slots_.size(); ++i)
    if (slots_[i].key != kEmptyKey)
      longest = std::max(longest, ((i - home(slots_[i].key)) & (slots_.size() - 1)) + 1);
  return longest;
}

size_t code_point_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const int n_ones = std::countl_one(byte(0));
  if (n_ones < 2 || n_ones > 4 || text.size() < static_cast<size_t>(n_ones)) return 1;
  for (size_t i = 1; i < static_cast<size_t>(n_ones); ++i)
    if ((byte(i) & 0xc0u) != 0x80u) return 1;
  return static_cast<size_t>(n_ones);
}

}  // namespace carat
