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

Result<void> BytePairEncoder::set_merges(std::span<const std::string_view> texts) {
  merge_ends_.reserve(texts.size());
  for (const std::string_view text : texts) {
    const size_t space = text.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == text.size())
      return fail("merge {} is not two pieces with a space between them", merge_ends_.size());
    if (text.size() > UINT32_MAX - merge_texts_.size()) return fail("more than 4 GiB of merges");
    merge_texts_ += text;
    merge_ends_.push_back(static_cast<uint32_t>(merge_texts_.size()));
  }
  return {};
}

const BytePairEncoder::Tables& BytePairEncoder::tables() const {
  std::call_once(built_, [&] {
    tables_ = build();
    merge_texts_ = {};
    merge_ends_ = {};
  });
  return *tables_;
}

BytePairEncoder::Tables BytePairEncoder::build() const {
  const size_t n_merges = merge_ends_.size();
  Tables tables{MergeTable(n_merges, seed_), {}, SymbolTable(seed_), {}};
  constexpr size_t kMerges = SymbolTable::kBatch / 2;
  std::array<std::string_view, 2 * kMerges> sides;  // left and right of each merge
  std::array<uint32_t, 2 * kMerges> ids;
  uint32_t guess = 0;
  for (size_t begin = 0; begin < n_merges; begin += kMerges) {
    const size_t n = std::min(kMerges, n_merges - begin);
    for (size_t i = 0; i < n; ++i) {
      const std::string_view text = merge_text(begin + i);
      const size_t space = text.find(' ', 1);
      sides[2 * i] = text.substr(0, space);
      sides[2 * i + 1] = text.substr(space + 1);
      tables.borders.add(sides[2 * i], sides[2 * i + 1]);
    }
    look_up(std::span(sides).first(2 * n), tables.pieces, std::span(ids).first(2 * n));
    for (size_t i = 0; i < n; ++i) tables.merges.prefetch(ids[2 * i], ids[2 * i + 1]);
    for (size_t i = 0; i < n; ++i) {
      uint32_t whole = symbols_.find_joined(sides[2 * i], sides[2 * i + 1], guess);
      if (whole == SymbolTable::kNone)
        whole = behind_tokens(tables.pieces.intern(std::string(sides[2 * i]).append(sides[2 * i + 1])));
      else
        guess = whole;
      tables.merges.add(ids[2 * i], ids[2 * i + 1], {static_cast<uint32_t>(begin + i), whole});
    }
  }
  for (uint32_t byte = 0; byte < tables.ascii.size(); ++byte) {
    const char c = static_cast<char>(byte);
    tables.ascii[byte] = symbol_of(c == ' ' ? kSpace : std::string_view(&c, 1), tables);
  }
  return tables;
}

std::string_view BytePairEncoder::merge_text(size_t i) const {
  const size_t begin = i == 0 ? 0 : merge_ends_[i - 1];
  return std::string_view(merge_texts_).substr(begin, merge_ends_[i] - begin);
}

// The number of a piece that is no token.
uint32_t BytePairEncoder::behind_tokens(uint32_t piece) const {
  return static_cast<uint32_t>(symbols_.size()) + piece;
}

void BytePairEncoder::look_up(std::span<const std::string_view> texts, SymbolTable& pieces,
                              std::span<uint32_t> ids) const {
  symbols_.find(texts, ids);
  for (size_t i = 0; i < texts.size(); ++i)
    if (ids[i] == SymbolTable::kNone) ids[i] = behind_tokens(pieces.intern(texts[i]));
}

uint32_t BytePairEncoder::symbol_of(std::string_view code_point, const Tables& tables) const {
  const uint32_t token = symbols_.find(code_point);
  if (token != SymbolTable::kNone) return token;
  const uint32_t piece = tables.pieces.find(code_point);
  return piece == SymbolTable::kNone ? piece : behind_tokens(piece);
}

void BytePairEncoder::encode(std::string_view text, std::vector<BpePiece>& pieces) const {
  CHECK(text.size() < UINT32_MAX);
  const Tables& t = tables();
  std::vector<Symbol> word;
  const auto flush = [&] {
    if (word.size() > kMaxScanned)
      QueueMerger(t.merges, word).merge_all();
    else if (word.size() > 1)
      merge_by_scanning(t.merges, word);
    for (const Symbol& symbol : word) pieces.push_back({symbol.begin, symbol.length, symbol.id});
    word.clear();
  };
  MergeBorders::Class previous = 0;
  for (size_t at = 0; at < text.size();) {
    const std::string_view code_point = text.substr(at, code_point_length(text.substr(at)));
    const MergeBorders::Class current = MergeBorders::class_of(code_point);
    if (!word.empty() && !t.borders.may_merge(previous, current)) flush();
    const auto byte = static_cast<unsigned char>(code_point.front());
    const uint32_t id = byte < t.ascii.size() ? t.ascii[byte] : symbol_of(code_point, t);
    word.push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(code_point.size()), id, {}});
    previous = current;
    at += code_point.size();
  }
  flush();
}

}  // namespace carat
