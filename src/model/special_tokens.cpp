// A sorted list, narrowed byte by byte, gives the longest token at a position; a queue of one candidate per position
// places the longest of all first.
#include "model/special_tokens.h"

#include <algorithm>
#include <queue>
#include <utility>

#include "base/check.h"

namespace carat {
namespace {

unsigned char byte_at(std::string_view text, size_t i) { return static_cast<unsigned char>(text[i]); }

struct LaterMatch {
  bool operator()(const SpecialTokens::Match& a, const SpecialTokens::Match& b) const {
    if (a.length != b.length) return a.length < b.length;
    return a.token != b.token ? a.token > b.token : a.begin > b.begin;
  }
};

}  // namespace

SpecialTokens::SpecialTokens(std::vector<Entry> entries) : entries_(std::move(entries)) {
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.text < b.text; });
  for (const Entry& entry : entries_) {
    CHECK(!entry.text.empty() && entry.text.size() <= kMaxLength);
    ++first_byte_[byte_at(entry.text, 0) + 1u];
  }
  for (size_t b = 0; b < 256; ++b) first_byte_[b + 1] += first_byte_[b];
}

const SpecialTokens::Entry* SpecialTokens::longest_at_start(std::string_view text, bool parse_special) const {
  const Entry* begin = entries_.data() + first_byte_[byte_at(text, 0)];
  const Entry* end = entries_.data() + first_byte_[byte_at(text, 0) + 1u];
  const Entry* longest = nullptr;
  for (size_t n = 1; begin != end; ++n) {  // [begin, end) share the text's first n bytes
    if (begin->text.size() == n) {
      if (begin->always || parse_special) longest = begin;
      if (++begin == end) break;
    }
    if (n == text.size()) break;
    const unsigned char next = byte_at(text, n);
    if (byte_at(begin->text, n) == next && byte_at(end[-1].text, n) == next) continue;
    begin = std::partition_point(begin, end, [&](const Entry& e) { return byte_at(e.text, n) < next; });
    end = std::partition_point(begin, end, [&](const Entry& e) { return byte_at(e.text, n) == next; });
  }
  return longest;
}

std::vector<SpecialTokens::Match> SpecialTokens::find(std::string_view text, bool parse_special) const {
  std::priority_queue<Match, std::vector<Match>, LaterMatch> candidates;  // at most one for each position
  const auto offer = [&](size_t begin, size_t end) {
    if (const Entry* entry = longest_at_start(text.substr(begin, end - begin), parse_special))
      candidates.push({begin, entry->text.size(), entry->token});
  };
  for (size_t begin = 0; begin < text.size(); ++begin) offer(begin, text.size());
  std::vector<Match> chosen;
  std::vector<bool> covered(candidates.empty() ? 0 : text.size());
  while (!candidates.empty()) {
    const Match match = candidates.top();
    candidates.pop();
    const size_t end = match.begin + match.length;
    // A chosen match is at least as long as this one, so an overlap covers one of its ends.
    if (covered[match.begin]) continue;
    if (covered[end - 1]) {  // a shorter one may fit before what is taken
      size_t free_end = match.begin + 1;
      while (!covered[free_end]) ++free_end;
      offer(match.begin, free_end);
      continue;
    }
    std::fill_n(covered.begin() + static_cast<ptrdiff_t>(match.begin), match.length, true);
    chosen.push_back(match);
  }
  std::sort(chosen.begin(), chosen.end(), [](const Match& a, const Match& b) { return a.begin < b.begin; });
  return chosen;
}

}  // namespace carat
