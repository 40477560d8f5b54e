// The IQ4 grid. The middle between two grid values is a multiple of 1/2, so half-integer cells tell the
// nearest.
#include "quant/iq4.h"

#include <array>

#include "quant/scale_search.h"
#include "quant/weighting.h"

namespace carat {
namespace {

constexpr int kCellOfZero = 2 * 127;  // the cell of v is floor(2 v) + kCellOfZero
constexpr int kCells = kCellOfZero + 2 * 113 + 1;

constexpr std::array<uint8_t, kCells> make_code_of_cell() {
  std::array<uint8_t, kCells> codes{};
  for (int cell = 0; cell < kCells; ++cell) {
    uint8_t code = 0;
    while (code < 15 && cell - kCellOfZero >= kIQ4Grid[code] + kIQ4Grid[code + 1]) ++code;
    codes[static_cast<size_t>(cell)] = code;
  }
  return codes;
}

constexpr std::array<uint8_t, kCells> kCodeOfCell = make_code_of_cell();

constexpr std::array<float, kCells> make_value_of_cell() {
  std::array<float, kCells> values{};
  for (size_t cell = 0; cell < kCells; ++cell) values[cell] = kIQ4Grid[kCodeOfCell[cell]];
  return values;
}

constexpr std::array<float, kCells> kValueOfCell = make_value_of_cell();

// NaN goes to the last cell, as in the reference.
I32x4 cell_of(F32x4 v) {
  v = max(min(v, splat(113.0f)), splat(-127.0f));
  const F32x4 doubled = v + v;
  const I32x4 truncated = __builtin_convertvector(doubled, I32x4);
  return truncated + (to_float(truncated) > doubled) + kCellOfZero;
}

F32x4 nearest_value(F32x4 v) {
  const I32x4 cell = cell_of(v);
  F32x4 value;
  for (int lane = 0; lane < kLanes; ++lane) value[lane] = kValueOfCell[static_cast<size_t>(cell[lane])];
  return value;
}

}  // namespace

void nearest_iq4(const float* x, float inverse, int n, uint8_t* codes) {
  for (int i = 0; i < n; i += kLanes) {
    const I32x4 cell = cell_of(load4(x + i) * inverse);
    for (int lane = 0; lane < kLanes; ++lane) codes[i + lane] = kCodeOfCell[static_cast<size_t>(cell[lane])];
  }
}

void weigh_iq4(const float* x, const float* importance, float variance, int n, float* w) {
  if (importance != nullptr) {
    weigh(x, importance, variance, n, w);
  } else {
    for (int i = 0; i < n; ++i) w[i] = x[i] * x[i];
  }
}

F32x4 fit_iq4(const F32x4* x, const F32x4* w) {
  const F32x4 extreme = extreme_element(32, x);
  F32x4 scale{}, best{};
  for (int trial = 0; trial < 16; ++trial) {
    // The extreme element on -127, then from -134 to -120.
    const F32x4 inverse =
        trial == 0 ? 1.0f / (extreme / 127.0f) : static_cast<float>(trial - 8 - 127) / extreme;
    F32x4 sum_xl{}, sum_ll{};
    for (int i = 0; i < 32; ++i) {
      const F32x4 l = nearest_value(inverse * x[i]);
      sum_xl += w[i] * l * x[i];
      sum_ll += w[i] * l * l;
    }
    const I32x4 better = trial == 0 ? splat(-1) : (sum_ll > 0.0f) & (sum_xl * sum_xl > best * sum_ll);
    const F32x4 fitted = sum_xl / sum_ll;
    scale = select(better, fitted, scale);
    best = select(better, fitted * sum_xl, best);
  }
  return select(abs(extreme) >= kNegligible, scale, splat(0.0f));
}

}  // namespace carat
