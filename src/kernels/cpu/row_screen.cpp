// Rounds the decoded rows of a weight. Norms are summed in double and rounded up: bounds must hold, not nearly hold.
#include "kernels/cpu/row_screen.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "quant/codec.h"

namespace carat {
namespace {

constexpr int64_t kRows = 16, kBlock = 32, kBlockBytes = 320;
constexpr int64_t kGain = 0, kResidual = kRows, kNorm = 2 * kRows;  // the floats of a panel's end
constexpr int64_t kEnds = 3 * kRows;
constexpr double kMiddle = 15.5;  // of codes 0 … 31
constexpr float kHalfRange = 16;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Types whose kernels add whole products of a block: bounds by norms would not cover the rounding of large terms that
// cancel, as quants and minima do. Of at least 6 bits: shorter ones are read as fast as a screen and its rows.
bool has_screen(TensorType type) {
  switch (type) {
    case TensorType::F32:
    case TensorType::F16:
    case TensorType::BF16:
    case TensorType::Q8_0:
    case TensorType::Q6_K:
      return true;
    default:
      return false;
  }
}

int64_t scales_bytes(int64_t k) { return (k / kBlock * kRows + 63) / 64 * 64; }
int64_t bytes_of_panel(int64_t k) {
  return k / kBlock * kBlockBytes + scales_bytes(k) + kEnds * static_cast<int64_t>(sizeof(float));
}
int64_t n_panels(int64_t n_rows) { return (n_rows + kRows - 1) / kRows; }

float rounded_up(double x) { return static_cast<float>(x * (1 + 0x1p-20)); }

// Where the codes of one row go.
struct RowCodes {
  uint8_t* codes;
  uint8_t* scales;

  void put(int64_t block, int64_t i, int code) {
    const int64_t group = i / 4;
    uint8_t* at = codes + block * kBlockBytes + i % 4;
    at[group / 2 * 64] |= static_cast<uint8_t>(code >> 1 << (group % 2 * 4));
    at[256] |= static_cast<uint8_t>((code & 1) << group);
  }
};

// Sums of squares.
struct RowError {
  double residual = 0, norm = 0;
};

// One block of a row under the scale that just holds its largest value.
void round_block(const float* x, int64_t block, float gain, RowCodes& out, RowError& error) {
  float largest = 0;
  for (int64_t i = 0; i < kBlock; ++i) largest = std::max(largest, std::fabs(x[i]));
  const float steps = gain > 0 ? largest / gain / kHalfRange : 0;
  const int scale = static_cast<int>(std::min(std::ceil(steps), 255.0f));
  out.scales[kRows * block] = static_cast<uint8_t>(scale);
  const double step = double{gain} * scale;
  const float inverse = step > 0 ? static_cast<float>(1 / step) : 0;
  for (int64_t i = 0; i < kBlock; ++i) {
    const int code = static_cast<int>(std::clamp(x[i] * inverse + kHalfRange, 0.0f, 31.0f));
    out.put(block, i, code);
    const double left = double{x[i]} - step * (code - kMiddle);
    error.residual += left * left;
    error.norm += double{x[i]} * x[i];
  }
}

}  // namespace

// A scale far from 1 is refused: products are rounded before it comes, and might underflow.
bool CpuRowScreen::exists_for(const Tensor& weight) {
  const float scale = std::fabs(weight.factor());
  return has_screen(weight.type) && weight.n_columns() % kBlock == 0 && scale > 1e-3f && scale < 1e3f;
}

size_t CpuRowScreen::n_bytes_for(const Tensor& weight) {
  if (!exists_for(weight)) return 0;
  const int64_t k = weight.n_columns();
  return static_cast<size_t>(n_panels(weight.n_rows()) * bytes_of_panel(k));
}

CpuRowScreen::CpuRowScreen(const Tensor& weight, ThreadPool& pool)
    : n_rows_(weight.n_rows()),
      panel_bytes_(bytes_of_panel(weight.n_columns())),
      data_(weight.data),
      memory_(n_bytes_for(weight)) {
  CHECK(exists_for(weight));
  const int64_t k = weight.n_columns();
  std::vector<float> values(static_cast<size_t>(k * pool.size()));
  pool.parallel_for(n_rows_, kRows, [&](int64_t begin, int64_t end, int thread) {
    float* row_values = values.data() + k * thread;
    for (int64_t row = begin; row < end; ++row) fill(weight, row, row_values);
  });
}

// `values` is scratch for one row.
void CpuRowScreen::fill(const Tensor& weight, int64_t row, float* values) {
  const int64_t k = weight.n_columns(), lane = row % kRows;
  uint8_t* panel = memory_.data() + row / kRows * panel_bytes_;
  float* ends = reinterpret_cast<float*>(panel + panel_bytes_) - kEnds + lane;
  codec_of(weight.type).decode(weight.row(row), k, values);
  float largest = 0;
  bool finite = true;
  for (int64_t i = 0; i < k; ++i) {
    values[i] *= weight.factor();
    finite &= std::isfinite(values[i]);
    largest = std::max(largest, std::fabs(values[i]));
  }
  // Beyond this range a product could overflow on its way to a sum that does not.
  if (!finite || largest > 1e12f) {
    ends[kResidual] = ends[kNorm] = kInfinity;
    return;
  }
  RowCodes codes{panel + 4 * lane, panel + k / kBlock * kBlockBytes + lane};
  const float gain = largest > 1e-12f ? largest / kHalfRange / 255 : 0;  // tiny rows: all of them is residual
  RowError error;
  for (int64_t block = 0; block < k / kBlock; ++block)
    round_block(values + kBlock * block, block, gain, codes, error);
  ends[kGain] = gain;
  ends[kResidual] = rounded_up(std::sqrt(error.residual));
  ends[kNorm] = rounded_up(std::sqrt(error.norm));
}

}  // namespace carat
