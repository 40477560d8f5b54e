// Sixteen codes at a time in a 64-bit word.
#include "audit/q4_0_codes.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace carat {
namespace {

constexpr size_t kBlockBytes = 18;
constexpr uint64_t kOnes = 0x1111111111111111u, kTops = 0x8888888888888888u;

// Enough for a share of 10 % to stand out from chance.
constexpr int64_t kMinBlocks = 1000;
constexpr double kRederived = 0.1;
// ggml's encoders never make a block without -8 and -7; a per cent of them leaves room for edited files.
constexpr double kOwn = 0.01;
constexpr double kSearched = 0.001;

bool has_zero_nibble(uint64_t x) { return ((x - kOnes) & ~x & kTops) != 0; }
bool has_nibble(const uint64_t words[2], uint64_t nibble) {
  return has_zero_nibble(words[0] ^ kOnes * nibble) || has_zero_nibble(words[1] ^ kOnes * nibble);
}

}  // namespace

Q4_0Codes& Q4_0Codes::operator+=(const Q4_0Codes& other) {
  n_blocks += other.n_blocks;
  n_with_minus_8 += other.n_with_minus_8;
  n_with_minus_7 += other.n_with_minus_7;
  n_negative_scales += other.n_negative_scales;
  for (size_t m = 0; m < n_without.size(); ++m) n_without[m] += other.n_without[m];
  return *this;
}

// Codes round(8 c / k), c = 0 … k, leave out 4 where k = 7; 2 and 6 where k = 6; 1, 4 and 7 where k = 5.
// Ordinary weights leave a magnitude out the more often the larger it is, so what is left out more often than
// a larger one (3 and 5 are never left out by these) betrays the lattice.
double Q4_0Codes::rederived_share() const {
  const auto more = [&](size_t m, size_t larger) {
    return static_cast<double>(std::max<int64_t>(0, n_without[m] - n_without[larger]));
  };
  const double from_5 = more(1, 3), from_6 = more(2, 3), from_7 = std::max(0.0, more(4, 5) - from_5);
  return n_blocks > 0 ? (from_5 + from_6 + from_7) / static_cast<double>(n_blocks) : 0;
}

Q4_0Codes count_q4_0_codes(std::span<const std::byte> blocks) {
  Q4_0Codes counts;
  for (size_t at = 0; at + kBlockBytes <= blocks.size(); at += kBlockBytes) {
    uint16_t scale;
    uint64_t words[2];
    std::memcpy(&scale, blocks.data() + at, sizeof scale);
    std::memcpy(words, blocks.data() + at + sizeof scale, sizeof words);
    if ((scale & 0x7fffu) == 0) continue;
    ++counts.n_blocks;
    counts.n_negative_scales += scale >> 15;
    if (!has_nibble(words, 0)) {  // code -8 is stored as 0
      counts.n_with_minus_7 += has_nibble(words, 1);
      continue;
    }
    ++counts.n_with_minus_8;
    for (uint64_t m = 1; m < 7; ++m)
      counts.n_without[m] += !has_nibble(words, 8 - m) && !has_nibble(words, 8 + m);
    counts.n_without[7] += !has_nibble(words, 1);
  }
  return counts;
}

std::string_view name_of(ScaleOrigin origin) {
  switch (origin) {
    case ScaleOrigin::too_few:
      return "too few blocks";
    case ScaleOrigin::reference:
      return "reference";
    case ScaleOrigin::rederived:
      return "rederived";
    case ScaleOrigin::searched:
      return "searched";
    case ScaleOrigin::own:
      return "own";
  }
  CHECK(false);
}

ScaleOrigin origin_of(const Q4_0Codes& codes) {
  if (codes.n_blocks < kMinBlocks) return ScaleOrigin::too_few;
  const int64_t n_own = codes.n_blocks - codes.n_with_minus_8 - codes.n_with_minus_7;
  if (codes.share_of(n_own) >= kOwn) return ScaleOrigin::own;
  if (codes.share_of(codes.n_with_minus_7) >= kSearched) return ScaleOrigin::searched;
  return codes.rederived_share() >= kRederived ? ScaleOrigin::rederived : ScaleOrigin::reference;
}

}  // namespace carat
