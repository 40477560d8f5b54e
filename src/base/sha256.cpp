// The plain algorithm, for texts of some kilobytes.
#include "base/sha256.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstdint>

namespace carat {
namespace {

constexpr bool is_prime(uint32_t n) {
  for (uint32_t d = 2; d * d <= n; ++d)
    if (n % d == 0) return false;
  return true;
}

// The first 32 bits of the fractional part of the cube root of n, by bisection in integers.
constexpr uint32_t cube_root_bits(uint32_t n) {
  unsigned __int128 low = 0, high = static_cast<unsigned __int128>(8) << 32;  // roots are below 8
  while (high - low > 1) {
    const unsigned __int128 middle = (low + high) / 2;
    (middle * middle * middle <= static_cast<unsigned __int128>(n) << 96 ? low : high) = middle;
  }
  return static_cast<uint32_t>(low);
}

// One for each of the first 64 primes.
constexpr std::array<uint32_t, 64> round_constants() {
  std::array<uint32_t, 64> constants{};
  size_t i = 0;
  for (uint32_t n = 2; i < constants.size(); ++n)
    if (is_prime(n)) constants[i++] = cube_root_bits(n);
  return constants;
}

constexpr std::array<uint32_t, 64> kRounds = round_constants();
static_assert(kRounds[0] == 0x428a2f98 && kRounds[63] == 0xc67178f2);

uint32_t load_big_endian(const char* bytes) {
  uint32_t word = 0;
  for (int i = 0; i < 4; ++i) word = word << 8 | static_cast<unsigned char>(bytes[i]);
  return word;
}

using State = std::array<uint32_t, 8>;

// Mixes 64 bytes into the state.
void compress(State& state, const char* block) {
  std::array<uint32_t, 64> w;
  for (size_t i = 0; i < 16; ++i) w[i] = load_big_endian(block + 4 * i);
  for (size_t i = 16; i < 64; ++i) {
    const uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ w[i - 15] >> 3;
    const uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ w[i - 2] >> 10;
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (size_t i = 0; i < 64; ++i) {
    const uint32_t t1 = h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + ((e & f) ^ (~e & g)) +
                        kRounds[i] + w[i];
    const uint32_t t2 =
        (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  const State sums = {a, b, c, d, e, f, g, h};
  for (size_t i = 0; i < state.size(); ++i) state[i] += sums[i];
}

}  // namespace

std::string sha256_hex(std::string_view text) {
  // Square roots of the first eight primes.
  State state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  const uint64_t n_bits = uint64_t{text.size()} * 8;
  for (; text.size() >= 64; text.remove_prefix(64)) compress(state, text.data());
  std::string last(text);  // one block or two: the rest, a one, zeros, the length
  last += '\x80';
  last.resize(last.size() <= 56 ? 56 : 120);
  for (int shift = 56; shift >= 0; shift -= 8) last += static_cast<char>(n_bits >> shift);
  for (size_t at = 0; at < last.size(); at += 64) compress(state, last.data() + at);
  std::string digits;
  for (const uint32_t word : state) digits += fmt::format("{:08x}", word);
  return digits;
}

}  // namespace carat
