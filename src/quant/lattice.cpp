// Finding a block's lattice. Where the largest magnitude m has code k, the scale is m / k, up to the rounding
// of m; so there are eight lattices to try. Every other value then allows an interval of scales: its
// neighbours half a storage step away, divided by its code. The block is on the lattice if all intervals have
// a scale in common.
#include "quant/lattice.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "base/check.h"
#include "quant/block.h"
#include "quant/codec.h"

namespace carat {
namespace {

// A storage type as far as rounding goes: numbers around x are 2^(exponent of x - mantissa bits) apart, where
// the exponent is at least that of the smallest normal number.
struct Rounding {
  int mantissa_bits, min_exponent;
};
constexpr Rounding kBf16{7, -126}, kF16{10, -14}, kF32{23, -126};

double half_step(float x, Rounding rounding) {
  const int exponent = static_cast<int>(std::bit_cast<uint32_t>(x) >> 23 & 255u) - 127;
  return std::ldexp(1.0, std::max(exponent, rounding.min_exponent) - rounding.mantissa_bits - 1);
}

bool is_bf16(float x) { return (std::bit_cast<uint32_t>(x) & 0xffffu) == 0; }

// What has rounded a block's values.
struct Storage {
  Rounding finest;           // the last rounding
  bool twice;                // and BF16 before it
  float relative, absolute;  // half(x) is less than relative |x| + absolute for every x
  double half(float x) const { return half_step(x, finest) + (twice ? half_step(x, kBf16) : 0); }
};

constexpr float kMargin = 1.02f;  // for the float arithmetic of may_fit()
constexpr Storage kStoredBf16{kBf16, false, kMargin * 0x1p-8f, kMargin * 0x1p-134f};
constexpr Storage kStoredF32{kF32, false, kMargin * 0x1p-22f, kMargin * 0x1p-149f};
constexpr Storage kStoredF16{kF16, false, kMargin * 0x1p-11f, kMargin * 0x1p-25f};
constexpr Storage kStoredF16FromBf16{kF16, true, kMargin*(0x1p-11f + 0x1p-8f), kMargin * 0x1p-25f};

const Storage& storage_of(const float* values, TensorType stored) {
  if (stored == TensorType::BF16) return kStoredBf16;
  // BF16 numbers below F16's normal ones lose bits in F16 and no longer show where they come from.
  bool from_bf16 = true;
  for (int64_t i = 0; i < kLatticeBlock; ++i)
    from_bf16 =
        from_bf16 && (is_bf16(values[i]) || (stored == TensorType::F16 && std::fabs(values[i]) < 0x1p-14f));
  if (stored == TensorType::F32) return from_bf16 ? kStoredBf16 : kStoredF32;
  CHECK(stored == TensorType::F16);
  return from_bf16 ? kStoredF16FromBf16 : kStoredF16;
}

// Whether values can lie on the lattice at all: a cheap look, almost always enough to say no. In units of the
// scale, a value q with code c may be off by its own rounding and by c times that of the scale.
bool may_fit(const float* values, float inverse_extreme, int k, const Storage& storage) {
  const float inverse = static_cast<float>(k) * inverse_extreme;
  if (!std::isfinite(inverse)) return true;  // left to exact arithmetic
  const float relative = storage.relative, absolute = storage.absolute * inverse;
  for (int64_t i = 0; i < kLatticeBlock; ++i) {
    const float q = std::fabs(values[i]) * inverse;
    const float code = (q + 8388608.0f) - 8388608.0f;  // to the nearest integer
    if (std::fabs(q - code) > (q + code) * relative + (1 + code) * absolute) return false;
  }
  return true;
}

// The lattice on which `extreme`, the extreme element, has a code of magnitude k.
std::optional<Lattice> try_lattice(const float* values, float extreme, int k, const Storage& storage) {
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
    const double half = storage.half(values[i]);
    low = std::max(low, (std::fabs(x) - half) / std::fabs(code));
    high = std::min(high, (std::fabs(x) + half) / std::fabs(code));
    if (low > high) return std::nullopt;
    lattice.codes[static_cast<size_t>(i)] = static_cast<int8_t>(code);
    sum_xc += x * code;
    sum_cc += code * code;
  }
  lattice.scale = static_cast<float>(sign * std::clamp(sum_xc / sum_cc, low, high));
  lattice.lowest_scale = low;
  lattice.highest_scale = high;
  return lattice;
}

std::optional<Lattice> find_coarsest(const float* values, float extreme, const Storage& storage) {
  const float inverse_extreme = 1 / std::fabs(extreme);
  for (int k = 1; k <= 8; ++k)
    if (may_fit(values, inverse_extreme, k, storage))
      if (std::optional<Lattice> lattice = try_lattice(values, extreme, k, storage)) return lattice;
  return std::nullopt;
}

bool all_finite(const float* values) {
  bool finite = true;
  for (int64_t i = 0; i < kLatticeBlock; ++i)
    finite &= std::fabs(values[i]) <= std::numeric_limits<float>::max();
  return finite;
}

// Whether a number of the type lies in [low, high], 0 < high. Rounding is monotonic, so the nearest to the
// middle is in it, or none is.
bool holds_scale(double low, double high, float (*round)(float)) {
  const double middle = round(static_cast<float>((low + high) / 2));
  return middle > 0 && low <= middle && middle <= high;
}
float to_bf16(float x) { return bf16_to_f32(f32_to_bf16(x)); }
float to_f16(float x) { return f16_to_f32(f32_to_f16(x)); }

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

std::optional<Lattice> find_lattice(const float* values, TensorType stored) {
  if (!all_finite(values)) return std::nullopt;
  const float extreme = signed_extreme(values, kLatticeBlock);
  if (extreme == 0) return Lattice{0, 0, {}};
  return find_coarsest(values, extreme, storage_of(values, stored));
}

LatticeReport& LatticeReport::operator+=(const LatticeReport& other) {
  n_blocks += other.n_blocks;
  n_on_lattice += other.n_on_lattice;
  n_kept_by_reference += other.n_kept_by_reference;
  n_with_bf16_scale += other.n_with_bf16_scale;
  n_with_f16_scale += other.n_with_f16_scale;
  for (size_t i = 0; i < n_with_extreme.size(); ++i) n_with_extreme[i] += other.n_with_extreme[i];
  return *this;
}

LatticeReport lattice_share(const float* values, int64_t n_columns, int64_t n_rows, TensorType stored) {
  LatticeReport report;
  for (int64_t r = 0; r < n_rows; ++r)
    for (int64_t i = 0; i + kLatticeBlock <= n_columns; i += kLatticeBlock) {
      const float* block = values + r * n_columns + i;
      ++report.n_blocks;
      const std::optional<Lattice> lattice = find_lattice(block, stored);
      if (!lattice) continue;
      ++report.n_on_lattice;
      ++report.n_with_extreme[static_cast<size_t>(lattice->extreme + 8)];
      if (lattice->extreme == 0) {
        ++report.n_kept_by_reference;
        continue;
      }
      // A coarser lattice may also fit with doubled codes.
      const bool kept = lattice->extreme == -8 || try_lattice(block, signed_extreme(block, kLatticeBlock), 8,
                                                              storage_of(block, stored));
      if (kept) ++report.n_kept_by_reference;
      const double low = lattice->lowest_scale, high = lattice->highest_scale;
      report.n_with_bf16_scale += holds_scale(low, high, to_bf16);
      report.n_with_f16_scale += holds_scale(low, high, to_f16);
    }
  return report;
}

}  // namespace carat
