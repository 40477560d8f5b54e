// Open-addressing tables and the priority-queue BPE on top of them.
#include "model/symbols.h"

#include <sys/random.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <functional>
#include <queue>

#include "base/check.h"
#include "base/random.h"

namespace carat {
namespace {

constexpr uint64_t kEmptyKey = UINT64_MAX;  // (kNone, kNone) is never added

uint64_t key_of(uint32_t left, uint32_t right) { return uint64_t{left} << 32 | right; }

size_t slots_for(size_t n) { return std::bit_ceil(n * 2 + 16); }

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

// The secret enters before the first word and after the last: without it, words that cancel cannot be computed.
uint32_t SymbolTable::hash_of(std::string_view text) const {
  uint64_t hash = mix64(seed_ ^ text.size());
  size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + i, 8);
    hash = mix64(hash ^ word);
  }
  uint64_t tail = 0;
  std::memcpy(&tail, text.data() + i, text.size() - i);
  return static_cast<uint32_t>(mix64(mix64(hash ^ tail) + seed_));
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

uint32_t SymbolTable::find(std::string_view text) const { return slots_[probe(text, hash_of(text))].id; }

uint32_t SymbolTable::intern(std::string_view text, uint32_t hash) {
  size_t slot = probe(text, hash);
  if (slots_[slot].id != kNone) return slots_[slot].id;
  if ((n_used_ + 1) * 2 > slots_.size()) {
    rehash(slots_.size() * 2);
    slot = probe(text, hash);
  }
  ++n_used_;
  slots_[slot] = {hash, add_hidden(text)};
  return slots_[slot].id;
}

uint32_t SymbolTable::add_hidden(std::string_view text) {
  CHECK(ends_.size() < kNone);
  characters_.insert(characters_.end(), text.begin(), text.end());
  ends_.push_back(characters_.size());
  return static_cast<uint32_t>(ends_.size() - 1);
}

size_t SymbolTable::probe(std::string_view text, uint32_t hash) const {
  const size_t mask = slots_.size() - 1;
  size_t i = hash & mask;
  while (slots_[i].id != kNone && !(slots_[i].hash == hash && this->text(slots_[i].id) == text))
    i = (i + 1) & mask;
  return i;
}

void SymbolTable::rehash(size_t n_slots) {
  std::vector<Slot> old(n_slots);
  old.swap(slots_);
  const size_t mask = n_slots - 1;
  for (const Slot& slot : old) {
    if (slot.id == kNone) continue;
    size_t i = slot.hash & mask;
    while (slots_[i].id != kNone) i = (i + 1) & mask;
    slots_[i] = slot;
  }
}

size_t SymbolTable::longest_probe() const {
  size_t longest = 0;
  for (size_t i = 0; i < slots_.size(); ++i)
    if (slots_[i].id != kNone) longest = std::max(longest, ((i - slots_[i].hash) & (slots_.size() - 1)) + 1);
  return longest;
}

MergeTable::MergeTable(size_t max_pairs, uint64_t seed)
    : seed_(seed), keys_(slots_for(max_pairs), kEmptyKey), ranks_(keys_.size()) {}

size_t MergeTable::home(uint64_t key) const {
  return mix64(mix64(key ^ seed_) + seed_) & (keys_.size() - 1);
}

void MergeTable::add(uint32_t left, uint32_t right, uint32_t rank) {
  const uint64_t key = key_of(left, right);
  const size_t slot = probe(key);
  if (keys_[slot] == key) return;
  keys_[slot] = key;
  ranks_[slot] = rank;
}

void MergeTable::prefetch(uint32_t left, uint32_t right) const {
  const size_t slot = home(key_of(left, right));
  __builtin_prefetch(&keys_[slot], 1);
  __builtin_prefetch(&ranks_[slot], 1);
}

uint32_t MergeTable::rank(uint32_t left, uint32_t right) const {
  if (left == SymbolTable::kNone || right == SymbolTable::kNone) return kNone;
  const uint64_t key = key_of(left, right);
  const size_t slot = probe(key);
  return keys_[slot] == key ? ranks_[slot] : kNone;
}

size_t MergeTable::probe(uint64_t key) const {
  const size_t mask = keys_.size() - 1;
  size_t i = home(key);
  while (keys_[i] != kEmptyKey && keys_[i] != key) i = (i + 1) & mask;
  return i;
}

size_t MergeTable::longest_probe() const {
  size_t longest = 0;
  for (size_t i = 0; i < keys_.size(); ++i)
    if (keys_[i] != kEmptyKey) longest = std::max(longest, ((i - home(keys_[i])) & (keys_.size() - 1)) + 1);
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

namespace {

// The run as a linked list of symbols, and a queue of (rank, left symbol). A queue entry is stale when the
// pair that begins at its symbol no longer has that rank.
class Merger {
 public:
  Merger(const SymbolTable& symbols, const MergeTable& merges, std::string_view run)
      : symbols_(symbols), merges_(merges), run_(run) {}

  void split() {
    CHECK(run_.size() < kEnd);
    for (size_t at = 0; at < run_.size();) {
      const size_t length = code_point_length(run_.substr(at));
      const uint32_t index = static_cast<uint32_t>(nodes_.size());
      nodes_.push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(length),
                        symbols_.find(run_.substr(at, length)), index == 0 ? kEnd : index - 1, index + 1,
                        MergeTable::kNone});
      at += length;
    }
    if (!nodes_.empty()) nodes_.back().next = kEnd;
    for (uint32_t i = 0; i < nodes_.size(); ++i) offer(i);
  }

  void merge_all() {
    while (!queue_.empty()) {
      const uint64_t best = queue_.top();
      queue_.pop();
      const uint32_t left = static_cast<uint32_t>(best);
      if (nodes_[left].rank == static_cast<uint32_t>(best >> 32)) merge(left);
    }
  }

  void collect(std::vector<BpePiece>& pieces) const {
    for (uint32_t i = nodes_.empty() ? kEnd : 0; i != kEnd; i = nodes_[i].next)
      pieces.push_back({nodes_[i].begin, nodes_[i].length, nodes_[i].id});
  }

 private:
  static constexpr uint32_t kEnd = UINT32_MAX;
  struct Node {
    uint32_t begin, length, id, previous, next;
    uint32_t rank;  // of the pair that begins here; kNone for a symbol that was merged away
  };

  void offer(uint32_t left) {
    Node& node = nodes_[left];
    node.rank = node.next == kEnd ? MergeTable::kNone : merges_.rank(node.id, nodes_[node.next].id);
    if (node.rank != MergeTable::kNone) queue_.push(uint64_t{node.rank} << 32 | left);
  }

  void merge(uint32_t left) {
    Node& node = nodes_[left];
    Node& gone = nodes_[node.next];
    node.length += gone.length;
    node.id = symbols_.find(run_.substr(node.begin, node.length));
    node.next = gone.next;
    gone.rank = MergeTable::kNone;
    if (node.next != kEnd) nodes_[node.next].previous = left;
    offer(left);
    if (node.previous != kEnd) offer(node.previous);
  }

  const SymbolTable& symbols_;
  const MergeTable& merges_;
  std::string_view run_;
  std::vector<Node> nodes_;
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> queue_;
};

}  // namespace

void encode_run(const SymbolTable& symbols, const MergeTable& merges, std::string_view run,
                std::vector<BpePiece>& pieces) {
  Merger merger(symbols, merges, run);
  merger.split();
  merger.merge_all();
  merger.collect(pieces);
}

}  // namespace carat
