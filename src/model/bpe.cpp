// Words by scanning, longer stretches with a priority queue.
#include "model/bpe.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <string>

#include "base/check.h"

namespace carat {
namespace {

using Merge = MergeTable::Merge;

constexpr std::string_view kSpace = "\u2581";  // stands for a space in the vocabulary

// Up to here looking at all pairs is faster than keeping a queue.
constexpr size_t kMaxScanned = 48;

struct Symbol {
  uint32_t begin, length, id;
  Merge next;  // of this symbol and the next one
};

void merge_by_scanning(const MergeTable& merges, std::vector<Symbol>& word) {
  const auto look_up = [&](size_t i) {
    word[i].next = i + 1 < word.size() ? merges.find(word[i].id, word[i + 1].id) : Merge();
  };
  for (size_t i = 0; i < word.size(); ++i) look_up(i);
  while (true) {
    size_t best = 0;
    for (size_t i = 1; i < word.size(); ++i)
      if (word[i].next.rank < word[best].next.rank) best = i;
    Symbol& symbol = word[best];
    if (symbol.next.rank == MergeTable::kNone) return;
    symbol.id = symbol.next.merged;
    symbol.length += word[best + 1].length;
    word.erase(word.begin() + static_cast<ptrdiff_t>(best) + 1);
    look_up(best);
    if (best > 0) look_up(best - 1);
  }
}

// The stretch as a linked list of symbols, and a queue of (rank, left symbol). A queue entry is stale when
// the pair that begins at its symbol no longer has that rank.
class QueueMerger {
 public:
  QueueMerger(const MergeTable& merges, std::vector<Symbol>& symbols)
      : merges_(merges), symbols_(symbols), links_(symbols.size()) {
    CHECK(symbols.size() < kEnd);
    for (uint32_t i = 0; i < links_.size(); ++i) links_[i] = {i == 0 ? kEnd : i - 1, i + 1};
    links_.back().next = kEnd;
    for (uint32_t i = 0; i < links_.size(); ++i) offer(i);
  }

  void merge_all() {
    while (!queue_.empty()) {
      const uint64_t best = queue_.top();
      queue_.pop();
      const uint32_t left = static_cast<uint32_t>(best);
      if (symbols_[left].next.rank == static_cast<uint32_t>(best >> 32)) merge(left);
    }
    size_t n = 0;
    for (uint32_t i = 0; i != kEnd; i = links_[i].next) symbols_[n++] = symbols_[i];
    symbols_.resize(n);
  }

 private:
  static constexpr uint32_t kEnd = UINT32_MAX;
  struct Link {
    uint32_t previous, next;
  };

  void offer(uint32_t left) {
    const uint32_t right = links_[left].next;
    Symbol& symbol = symbols_[left];
    symbol.next = right == kEnd ? Merge() : merges_.find(symbol.id, symbols_[right].id);
    if (symbol.next.rank != MergeTable::kNone) queue_.push(uint64_t{symbol.next.rank} << 32 | left);
  }

  void merge(uint32_t left) {
    const uint32_t gone = links_[left].next, right = links_[gone].next;
    symbols_[left].id = symbols_[left].next.merged;
    symbols_[left].length += symbols_[gone].length;
    symbols_[gone].next = Merge();
    links_[left].next = right;
    if (right != kEnd) links_[right].previous = left;
    offer(left);
    if (links_[left].previous != kEnd) offer(links_[left].previous);
  }

  const MergeTable& merges_;
  std::vector<Symbol>& symbols_;
  std::vector<Link> links_;
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> queue_;
};

std::string_view last_code_point(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0u) == 0x80u) --begin;
  // Not UTF-8: bytes stand alone.
  return begin + code_point_length(text.substr(begin)) == text.size() ? text.substr(begin)
                                                                      : text.substr(text.size() - 1);
}

}  // namespace

MergeBorders::Class MergeBorders::class_of(std::string_view text) {
  constexpr Class kSpaceClass = 0xff;  // begins no code point
  if (text.front() == ' ' || text.starts_with(kSpace)) return kSpaceClass;
  return static_cast<Class>(text.front());
}

void MergeBorders::add(std::string_view left, std::string_view right) {
  pairs_[class_of(last_code_point(left)) << 8 | class_of(right)] = true;
}

Result<void> BytePairEncoder::add_merges(std::span<const std::string_view> texts) {
  merges_ = MergeTable(texts.size(), seed_);
  constexpr size_t kMerges = SymbolTable::kBatch / 2;
  std::array<std::string_view, 2 * kMerges> pieces;  // left and right of each merge
  std::array<uint32_t, 2 * kMerges> ids;
  uint32_t whole = 0;
  for (size_t begin = 0; begin < texts.size(); begin += kMerges) {
    const size_t n = std::min(kMerges, texts.size() - begin);
    for (size_t i = 0; i < n; ++i) {
      const std::string_view text = texts[begin + i];
      const size_t space = text.find(' ', 1);
      if (space == std::string_view::npos || space + 1 == text.size())
        return fail("merge {} is not two pieces with a space between them", begin + i);
      pieces[2 * i] = text.substr(0, space);
      pieces[2 * i + 1] = text.substr(space + 1);
      borders_.add(pieces[2 * i], pieces[2 * i + 1]);
    }
    symbols_.intern(std::span(pieces).first(2 * n), std::span(ids).first(2 * n));
    for (size_t i = 0; i < n; ++i) merges_.prefetch(ids[2 * i], ids[2 * i + 1]);
    for (size_t i = 0; i < n; ++i) {
      whole = symbols_.intern_joined(pieces[2 * i], pieces[2 * i + 1], whole);
      merges_.add(ids[2 * i], ids[2 * i + 1], {static_cast<uint32_t>(begin + i), whole});
    }
  }
  for (uint32_t byte = 0; byte < ascii_.size(); ++byte) {
    const char c = static_cast<char>(byte);
    ascii_[byte] = symbols_.find(c == ' ' ? kSpace : std::string_view(&c, 1));
  }
  return {};
}

uint32_t BytePairEncoder::symbol_of(std::string_view code_point) const {
  const auto first = static_cast<unsigned char>(code_point.front());
  return first < ascii_.size() ? ascii_[first] : symbols_.find(code_point);
}

void BytePairEncoder::encode(std::string_view text, std::vector<BpePiece>& pieces) const {
  CHECK(text.size() < UINT32_MAX);
  std::vector<Symbol> word;
  const auto flush = [&] {
    if (word.size() > kMaxScanned)
      QueueMerger(merges_, word).merge_all();
    else if (word.size() > 1)
      merge_by_scanning(merges_, word);
    for (const Symbol& symbol : word) pieces.push_back({symbol.begin, symbol.length, symbol.id});
    word.clear();
  };
  MergeBorders::Class previous = 0;
  for (size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    const size_t length = code_point_length(rest);
    const MergeBorders::Class current = MergeBorders::class_of(rest.substr(0, length));
    if (!word.empty() && !borders_.may_merge(previous, current)) flush();
    word.push_back(
        {static_cast<uint32_t>(at), static_cast<uint32_t>(length), symbol_of(rest.substr(0, length)), {}});
    previous = current;
    at += length;
  }
  flush();
}

}  // namespace carat
