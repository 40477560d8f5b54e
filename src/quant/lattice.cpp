// Finding a block's lattice. Where the largest magnitude m has code k, the scale is m / k, up to the rounding
// of m; so there are eight lattices to try. Every other value then allows an interval of scales: its
// neighbours half a BF16 step away, divided by its code. The block is on the lattice if all intervals have a
// scale in common.
#include "quant/lattice.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <vector>

#include "base/check.h"
#include "quant/block.h"
#include "quant/codec.h"

namespace carat {
namespace {

// Half the distance between BF16 numbers around x.
double half_step(float x) {
  const int exponent = static_cast<int>(std::bit_cast<uint32_t>(x) >> 23 & 255u);
  return std::ldexp(1.0, std::max(exponent, 1) - 127 - 8);
}

// The lattice on which `extreme`, the extreme element, has a code of magnitude k.
std::optional<Lattice> try_lattice(const float* values, float extreme, int k) {
  const int extreme_code = k == 8 || extreme < 0 ? -k : k;
  const double scale = static_cast<double>(extreme) / extreme_code;
  const double sign = scale < 0 ? -1 : 1;
  Lattice lattice{0, extreme_code, {}};
  double low = 0, high = HUGE_VAL;  // of |scale|
  double sum_xc = 0, sum_cc = 0;
  for (int64_t i = 0; i < kLatticeBlock; ++i) {
    const double x = static_cast<double>(values[i]) * sign;
    const double code = std::nearbyint(x / std::fabs(scale));
    if (code < -8 || code > 7) return std::nullopt;
    if (code == 0) {
      if (x != 0) return std::nullopt;
      continue;
    }
    const double half = half_step(values[i]);
    low = std::max(low, (std::fabs(x) - half) / std::fabs(code));
    high = std::min(high, (std::fabs(x) + half) / std::fabs(code));
    if (low > high) return std::nullopt;
    lattice.codes[static_cast<size_t>(i)] = static_cast<int8_t>(code);
    sum_xc += x * code;
    sum_cc += code * code;
  }
  lattice.scale = static_cast<float>(sign * std::clamp(sum_xc / sum_cc, low, high));
  return lattice;
}

}  // namespace

void project(TensorType type, float* values, int64_t n_columns, int64_t n_rows, ThreadPool& pool) {
  CHECK(can_encode(type));
  const Codec& codec = codec_of(type);
  const uint64_t n_bytes = row_bytes(type, n_columns);
  std::vector<std::byte> scratch(n_bytes * static_cast<size_t>(pool.size()));  // a row per thread
  pool.parallel_for(n_rows, 1, [&](int64_t begin, int64_t end, int thread) {
    std::byte* blocks = scratch.data() + n_bytes * static_cast<size_t>(thread);
    for (int64_t i = begin; i < end; ++i) {
      float* row = values + i * n_columns;
      codec.encode(row, n_columns, nullptr, blocks);
      codec.decode(blocks, n_columns, row);
    }
  });
}

std::optional<Lattice> find_lattice(const float* values) {
  for (int64_t i = 0; i < kLatticeBlock; ++i)
    if (!std::isfinite(values[i])) return std::nullopt;
  const float extreme = signed_extreme(values, kLatticeBlock);
  if (extreme == 0) return Lattice{0, 0, {}};
  for (int k = 1; k <= 8; ++k)
    if (std::optional<Lattice> lattice = try_lattice(values, extreme, k)) return lattice;
  return std::nullopt;
}

LatticeReport& LatticeReport::operator+=(const LatticeReport& other) {
  n_blocks += other.n_blocks;
  n_on_lattice += other.n_on_lattice;
  n_kept_by_reference += other.n_kept_by_reference;
  for (size_t i = 0; i < n_with_extreme.size(); ++i) n_with_extreme[i] += other.n_with_extreme[i];
  return *this;
}

LatticeReport lattice_share(const float* values, int64_t n_columns, int64_t n_rows) {
  LatticeReport report;
  for (int64_t r = 0; r < n_rows; ++r)
    for (int64_t i = 0; i + kLatticeBlock <= n_columns; i += kLatticeBlock) {
      const float* block = values + r * n_columns + i;
      ++report.n_blocks;
      const std::optional<Lattice> lattice = find_lattice(block);
      if (!lattice) continue;
      ++report.n_on_lattice;
      ++report.n_with_extreme[static_cast<size_t>(lattice->extreme + 8)];
      // A coarser lattice may also fit with doubled codes.
      const bool kept = lattice->extreme == 0 || lattice->extreme == -8 ||
                        try_lattice(block, signed_extreme(block, kLatticeBlock), 8);
      if (kept) ++report.n_kept_by_reference;
    }
  return report;
}

}  // namespace carat
