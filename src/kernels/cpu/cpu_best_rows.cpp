// The rows that score highest: all of them in full, or those that a screen cannot rule out.
//
// For input x and a row w with screen values v, both kinds of product are float sums of terms that are together no
// larger than ||w|| ||x||, so with r = w - v and x' the rounded x that the screen is multiplied with
//   |product - score| <= ||r|| ||x'|| + ||w|| ||x - x'|| + c (||w|| + ||r||) max(||x||, ||x'||)
// by Cauchy-Schwarz; c stands for the roundings of k terms in any order. Where the product itself is of x' (integer
// kernels) the second term is 0; where it is of x rounded to bf16, x above is that. A row whose upper bound stays below the
// n-th best product known has lost.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/row_screen.h"
#include "tensor/float_formats.h"

namespace carat {
namespace {

constexpr size_t kTooMany = 5;  // more than one row in so many left: the whole weight is read faster in order
constexpr float kInfinity = std::numeric_limits<float>::infinity();

bool better(const ScoredRow& a, const ScoredRow& b) { return a.score != b.score ? a.score > b.score : a.row < b.row; }

// Keeps the n best of what it is offered, in any order. NaN and -infinity are not taken.
void offer(std::vector<ScoredRow>& heap, size_t n, ScoredRow row) {
  if (heap.size() == n) {
    if (!(row.score > heap.front().score)) return;  // the worst that is in
    std::pop_heap(heap.begin(), heap.end(), better);
    heap.back() = row;
  } else {
    if (!(row.score > -kInfinity)) return;
    heap.push_back(row);
  }
  std::push_heap(heap.begin(), heap.end(), better);
}

// A product below this scores less than `product` does after the soft cap, although that is rounded: the kernels' tanh
// errs by less than 2e-6, and distinct products may share a score.
float lowest_equal(float product, float cap) {
  if (cap == 0 || product == -kInfinity) return product;
  const double y = std::tanh(double{product} / double{cap}) - 1e-5;
  if (y <= -1) return -kInfinity;
  const double lowest = std::min(double{cap} * std::atanh(y), double{product});
  return std::nextafter(static_cast<float>(lowest), -kInfinity);
}

// How far a screen's scores of one input can be off: see ScreenRows.
struct InputBound {
  float residual_factor = kInfinity, norm_factor = kInfinity;
};

// `rounded` is x's only row. Infinite where x has no finite norm.
InputBound bound_of(const float* x, const Int8Rows& rounded, int64_t k, bool product_is_of_rounded) {
  double squares = 0, rounded_squares = 0, difference = 0;
  for (int64_t i = 0; i < k; ++i) {
    const double value = double{rounded.blocks[i / 32].scale} * rounded.q[i], left = double{x[i]} - value;
    squares += double{x[i]} * x[i];
    rounded_squares += value * value;
    difference += left * left;
  }
  if (product_is_of_rounded) squares = rounded_squares, difference = 0;
  const double norm = std::sqrt(std::max(squares, rounded_squares));
  if (!(norm < 1e12)) return {};
  const double slack = static_cast<double>(k + 64) * 0x1p-23 * norm;
  return {static_cast<float>((std::sqrt(rounded_squares) + slack) * (1 + 0x1p-20)),
          static_cast<float>((std::sqrt(difference) + slack) * (1 + 0x1p-20))};
}

// What a product of the first row is of, kept in `memory`: denormal values count as zero.
const float* widened(const Bf16Rows& rows, int64_t k, std::vector<float>& memory) {
  memory.resize(static_cast<size_t>(k));
  for (int64_t i = 0; i < k; ++i) {
    const float value = bf16_to_f32(rows.values[i]);
    memory[static_cast<size_t>(i)] = std::fabs(value) < std::numeric_limits<float>::min() ? 0.0f : value;
  }
  return memory.data();
}

}  // namespace

std::unique_ptr<RowScreen> CpuBackend::make_screen(const Tensor& weight) {
  const InUse in_use(in_use_);
  if (!CpuRowScreen::exists_for(weight)) return nullptr;
  return std::make_unique<CpuRowScreen>(weight, pool_);
}

size_t CpuBackend::screen_bytes(const Tensor& weight) const { return CpuRowScreen::n_bytes_for(weight); }

// Products of single rows, as matmul() gives them: the kernels see copies of sixteen rows at a time.
void CpuBackend::score_rows(const MatmulJob& job, std::span<const int32_t> rows, float* out) {
  const Tensor& weight = job.weight;
  const size_t row_size = weight.row_bytes();
  const int64_t n = static_cast<int64_t>(rows.size());
  share((n + kPanelRows - 1) / kPanelRows, [&](int64_t begin, int64_t end, int thread) {
    std::byte* copies = best_.copies[static_cast<size_t>(thread)].data();
    MatmulJob part = job;
    part.weight.data = copies, part.weight.packed = nullptr;
    part.weight.shape = {weight.n_columns(), kPanelRows, 1, 1};
    for (int64_t first = begin * kPanelRows; first < std::min(end * kPanelRows, n); first += kPanelRows) {
      const int64_t n_rows = std::min(kPanelRows, n - first);
      for (int64_t i = 0; i < n_rows; ++i)
        std::copy_n(weight.row(rows[static_cast<size_t>(first + i)]), row_size, copies + static_cast<size_t>(i) * row_size);
      part.out = out + first;
      part.out_stride = n_rows;
      run_rows(part, 0, n_rows, scratch_[static_cast<size_t>(thread)]);
    }
  });
}

// Scores and upper bounds of all rows, and in best_.heap the n_best rows by score.
void CpuBackend::screen_all(const BestRows& request, const ScreenRows& input) {
  const auto& screen = static_cast<const CpuRowScreen&>(*request.screen);
  const size_t n = static_cast<size_t>(request.n_best);
  for (auto& heap : best_.heaps) heap.clear(), heap.reserve(n);
  const int64_t n_rows = request.weight->n_rows();
  share((n_rows + kPanelRows - 1) / kPanelRows, [&](int64_t begin, int64_t end, int thread) {
    ScreenRows piece = input;
    piece.panels = screen.panel(begin), piece.panel_bytes = screen.panel_bytes(), piece.n_panels = end - begin;
    piece.score += begin * kPanelRows, piece.upper += begin * kPanelRows;
    kernels_.screen_rows(piece);
    const int64_t first = begin * kPanelRows, last = std::min(end * kPanelRows, n_rows);
    for (const int32_t row : request.excluded)
      if (row >= first && row < last) input.score[row] = input.upper[row] = -kInfinity;
    for (int64_t row = first; row < last; ++row)
      offer(best_.heaps[static_cast<size_t>(thread)], n, {static_cast<int32_t>(row), input.score[row]});
  });
  best_.heap.clear();
  for (const auto& heap : best_.heaps)
    for (const ScoredRow& row : heap) offer(best_.heap, n, row);
}

// best_.rows and their products: those that may be among the best, in order; false: too many for the screen to pay.
bool CpuBackend::screened_candidates(const BestRows& request, const MatmulJob& job) {
  const Tensor& weight = *request.weight;
  const float* x = wants_bf16(weight) ? widened(job.x.bf16, weight.n_columns(), best_.widened) : job.x.floats;
  const InputBound bound = bound_of(x, job.x.int8, weight.n_columns(), wants_int8(weight));
  const size_t n = static_cast<size_t>(request.n_best), n_rows = static_cast<size_t>(weight.n_rows());
  const size_t most = n_rows / kTooMany;
  if (bound.residual_factor == kInfinity || n > most) return false;
  screen_all(request,
             {.k = weight.n_columns(),
              .x = job.x.int8,
              .residual_factor = bound.residual_factor,
              .norm_factor = bound.norm_factor,
              .floor = 1e-20f,
              .score = best_.scores.data(),
              .upper = best_.upper.data()});
  best_.products.resize(most);
  if (best_.heap.size() < n) return false;
  best_.rows.clear();
  best_.rows.reserve(most);
  for (const ScoredRow& row : best_.heap) best_.rows.push_back(row.row);
  score_rows(job, best_.rows, best_.products.data());
  best_.heap.clear();
  for (size_t i = 0; i < n; ++i) offer(best_.heap, n, {best_.rows[i], best_.products[i]});
  if (best_.heap.size() < n) return false;
  const float lowest = lowest_equal(best_.heap.front().score, request.cap);
  if (lowest == -kInfinity) return false;
  best_.rows.clear();
  for (size_t row = 0; row < n_rows; ++row) {
    if (best_.upper[row] < lowest) continue;  // a NaN is a candidate
    if (best_.rows.size() == most) return false;
    best_.rows.push_back(static_cast<int32_t>(row));
  }
  score_rows(job, best_.rows, best_.products.data());
  return true;
}

// The same from the whole product.
void CpuBackend::all_candidates(const BestRows& request, MatmulJob job) {
  const size_t n = static_cast<size_t>(request.n_best), n_rows = static_cast<size_t>(request.weight->n_rows());
  job.out = best_.scores.data();
  jobs_.assign(1, job);
  run_jobs(request.weight->n_columns());
  for (const int32_t row : request.excluded)
    if (row >= 0 && static_cast<size_t>(row) < n_rows) best_.scores[static_cast<size_t>(row)] = NAN;
  best_.heap.clear();
  for (size_t row = 0; row < n_rows; ++row) offer(best_.heap, n, {static_cast<int32_t>(row), best_.scores[row]});
  const float lowest =
      best_.heap.size() < n ? -kInfinity : lowest_equal(best_.heap.front().score, request.cap);
  best_.rows.clear();
  best_.products.clear();
  for (size_t row = 0; row < n_rows; ++row) {
    if (!(best_.scores[row] >= lowest)) continue;
    best_.rows.push_back(static_cast<int32_t>(row));
    best_.products.push_back(best_.scores[row]);
  }
}

int64_t CpuBackend::best_rows(const BestRows& request, const float* x, std::vector<ScoredRow>& best) {
  const InUse in_use(in_use_);
  const Tensor& weight = *request.weight;
  const int64_t n_rows = weight.n_rows(), k = weight.n_columns();
  CHECK(request.n_best >= 1 && weight.shape[2] * weight.shape[3] == 1);
  CHECK(request.screen == nullptr || static_cast<const CpuRowScreen*>(request.screen)->is_of(weight));
  const size_t n_padded = static_cast<size_t>((n_rows + kPanelRows - 1) / kPanelRows * kPanelRows);
  best_.scores.resize(n_padded), best_.upper.resize(n_padded);
  best_.heaps.resize(static_cast<size_t>(pool_.size())), best_.copies.resize(best_.heaps.size());
  for (auto& copies : best_.copies) copies.resize(kPanelRows * weight.row_bytes() + kCacheLine);

  const bool needs_rounded = request.screen != nullptr || wants_int8(weight);
  Activations input{x, k};
  if (needs_rounded) input.int8 = round_rows(x, 1, k);
  if (wants_bf16(weight)) input.bf16 = round_rows_to_bf16(x, 1, k);
  const MatmulJob job{weight, input, 1, nullptr, n_rows};
  const bool screened = request.screen != nullptr && screened_candidates(request, job);
  if (!screened) all_candidates(request, job);
  const size_t n = best_.rows.size();
  if (request.cap != 0) kernels_.soft_cap(best_.products.data(), static_cast<int64_t>(n), request.cap);
  best.clear();
  for (size_t i = 0; i < n; ++i) offer(best, static_cast<size_t>(request.n_best), {best_.rows[i], best_.products[i]});
  std::sort_heap(best.begin(), best.end(), better);
  return screened ? static_cast<int64_t>(n) : n_rows;
}

}  // namespace carat
