// See the header. The lattices themselves are found in quant/lattice.cpp.
#include "quant/lattice_encoder.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/memory.h"
#include "quant/blocks32.h"
#include "quant/codec.h"
#include "quant/lattice.h"
#include "quant/q4_0.h"

namespace carat {
namespace {

constexpr int kLength = static_cast<int>(kLatticeBlock);

float to_bf16(double x) { return bf16_to_f32(f32_to_bf16(static_cast<float>(x))); }
float to_f16(double x) { return f16_to_f32(f32_to_f16(static_cast<float>(x))); }

float rounded(float x, TensorType type) {
  return type == TensorType::BF16 ? to_bf16(x) : type == TensorType::F16 ? to_f16(x) : x;
}

void store(float scale, const int8_t* codes, BlockQ4_0& block) {
  store_f16(block.d, scale);
  uint8_t unsigned_codes[kLength];
  for (int i = 0; i < kLength; ++i) unsigned_codes[i] = static_cast<uint8_t>(codes[i] + 8);
  pack_nibbles(unsigned_codes, block.qs);
}

bool is_exact(const float* x, TensorType stored, const BlockQ4_0& block) {
  float decoded[kLength];
  decode_q4_0(reinterpret_cast<const std::byte*>(&block), kLength, decoded);
  for (int i = 0; i < kLength; ++i)
    if (rounded(decoded[i], stored) != x[i]) return false;
  return true;
}

// Stores the codes under the F16 number nearest to the least-squares scale, or under another one near by if
// only that gives the source's very numbers. True: they are.
bool store_lattice(const float* x, TensorType stored, const Lattice& lattice, BlockQ4_0& block) {
  const double sign = lattice.scale < 0 ? -1 : 1, middle = (lattice.lowest_scale + lattice.highest_scale) / 2;
  for (const double scale :
       {std::fabs(static_cast<double>(lattice.scale)), middle, static_cast<double>(to_bf16(middle))}) {
    store(static_cast<float>(sign * scale), lattice.codes.data(), block);
    if (is_exact(x, stored, block)) return true;
  }
  store(lattice.scale, lattice.codes.data(), block);
  return false;
}

struct Fit {
  float scale = 0;
  int8_t codes[kLength] = {};
  double error = HUGE_VAL;
};

// Codes under a trial scale, then the least-squares scale of these codes, as F16 holds it.
Fit fit_under(const float* x, double trial) {
  Fit fit;
  double sum_xc = 0, sum_cc = 0;
  for (int i = 0; i < kLength; ++i) {
    const double code = std::clamp(std::nearbyint(x[i] / trial), -8.0, 7.0);
    fit.codes[i] = static_cast<int8_t>(code);
    sum_xc += x[i] * code;
    sum_cc += code * code;
  }
  fit.scale = sum_cc > 0 ? to_f16(sum_xc / sum_cc) : 0.0f;
  fit.error = 0;
  for (int i = 0; i < kLength; ++i) {
    const double error = x[i] - static_cast<double>(fit.scale) * fit.codes[i];
    fit.error += error * error;
  }
  return fit;
}

// x is not all zeros.
Fit best_fit(const float* x) {
  const double extreme = signed_extreme(x, kLength);
  Fit best = fit_under(x, extreme / -8);
  for (int k = 1; k <= 7; ++k)
    for (const int code : {k, -k})
      if (const Fit fit = fit_under(x, extreme / code); fit.error < best.error) best = fit;
  return best;
}

}  // namespace

bool lies_on_lattice(const Tensor& tensor, ThreadPool& pool) {
  const int64_t n = tensor.n_columns();
  if (!is_float(tensor.type) || n % kLatticeBlock != 0) return false;
  AlignedArray<float> rows(static_cast<size_t>(n * pool.size()));
  std::vector<int64_t> n_found(static_cast<size_t>(pool.size()));
  pool.parallel_for(tensor.n_rows(), 1, [&](int64_t begin, int64_t end, int thread) {
    float* row = rows.data() + thread * n;
    for (int64_t r = begin; r < end; ++r) {
      codec_of(tensor.type).decode(tensor.row(r), n, row);
      for (int64_t i = 0; i < n; i += kLatticeBlock)
        n_found[static_cast<size_t>(thread)] += find_lattice(row + i, tensor.type).has_value();
    }
  });
  return 2 * std::accumulate(n_found.begin(), n_found.end(), int64_t{0}) >=
         tensor.n_elements() / kLatticeBlock;
}

LatticeBlocks encode_q4_0_on_lattice(const float* row, int64_t n, TensorType stored, std::byte* blocks) {
  LatticeBlocks counted;
  auto* block = reinterpret_cast<BlockQ4_0*>(blocks);
  for (int64_t i = 0; i < n; i += kLatticeBlock, ++block) {
    const float* x = row + i;
    const std::optional<Lattice> lattice = find_lattice(x, stored);
    ++counted.n_blocks;
    if (lattice && lattice->extreme == 0) {
      encode_q4_0(x, kLatticeBlock, nullptr, reinterpret_cast<std::byte*>(block));
      ++counted.n_on_lattice, ++counted.n_exact;
    } else if (lattice && std::isfinite(to_f16(lattice->scale))) {
      ++counted.n_on_lattice;
      counted.n_exact += store_lattice(x, stored, *lattice, *block);
    } else {  // beyond F16, a smaller scale and larger codes may do
      const Fit fit = best_fit(x);
      store(fit.scale, fit.codes, *block);
    }
  }
  return counted;
}

}  // namespace carat
