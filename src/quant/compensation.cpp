// See the header. Factorizing runs in double, rounding in float; rows are independent of each other.
#include "quant/compensation.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "quant/codec.h"
#include "quant/grid.h"

namespace carat {
namespace {

// Encoders see the block stretched by these, so that its scales cover a little less, or more.
constexpr float kStretches[] = {1.0f, 0.92f, 0.96f, 1.04f};
constexpr int kMaxSweeps = 6;

// moments = R R^T in place, R upper triangular; false: not positive definite. From the last column to the
// first.
bool factorize(std::vector<double>& m, int64_t n) {
  for (int64_t j = n - 1; j >= 0; --j) {
    double* const pivot_row = m.data() + j * n;
    const double pivot = pivot_row[j];
    if (!(pivot > 0) || !std::isfinite(pivot)) return false;
    const double root = std::sqrt(pivot);
    pivot_row[j] = root;
    for (int64_t i = 0; i < j; ++i) m[static_cast<size_t>(i * n + j)] /= root;
    // H_ik -= R_ij R_kj for i <= k < j, column j copied so that the inner loop runs along rows.
    std::vector<double> column(static_cast<size_t>(j));
    for (int64_t i = 0; i < j; ++i) column[static_cast<size_t>(i)] = m[static_cast<size_t>(i * n + j)];
    for (int64_t i = 0; i < j; ++i) {
      double* const row = m.data() + i * n;
      const double factor = column[static_cast<size_t>(i)];
      for (int64_t k = i; k < j; ++k) row[k] -= factor * column[static_cast<size_t>(k)];
    }
  }
  return true;
}

// x := x R_JJ^-1 for the block of columns at `begin`: x R = b, column by column.
void solve_block(const std::vector<double>& r, int64_t n, int64_t begin, int64_t length, double* x) {
  for (int64_t j = 0; j < length; ++j) {
    double sum = x[j];
    for (int64_t i = 0; i < j; ++i) sum -= x[i] * r[static_cast<size_t>((begin + i) * n + begin + j)];
    x[j] = sum / r[static_cast<size_t>((begin + j) * n + begin + j)];
  }
}

// One row's block under way.
struct Trial {
  std::byte block[256];
  uint8_t codes[kMaxGridBlock];
  float values[kMaxGridBlock];
  double cost = HUGE_VAL;
};

class RowRounder {
 public:
  RowRounder(TensorType type, const MomentFactor& factor)
      : type_(type),
        format_(*find_grid(type)),
        codec_(codec_of(type)),
        factor_(factor),
        n_(factor.n()),
        length_(factor.block_length()),
        block_bytes_(type_info(type).block_bytes),
        error_(static_cast<size_t>(n_)),
        target_(static_cast<size_t>(n_)),
        gradient_(static_cast<size_t>(n_)),
        codes_(static_cast<size_t>(n_)),
        importance_(static_cast<size_t>(n_)),
        diagonal_(static_cast<size_t>(n_)) {
    CHECK(block_bytes_ <= sizeof(Trial::block) && length_ <= kMaxGridBlock);
    for (int64_t j = 0; j < n_; ++j) {
      const float r = factor.factor_row(j)[j];
      importance_[static_cast<size_t>(j)] = r * r;
      diagonal_[static_cast<size_t>(j)] = factor.moments_row(j)[j];
    }
  }

  RoundingError round(const float* w, std::byte* blocks) {
    codec_.encode(w, n_, diagonal_.data(), blocks);
    codec_.decode(blocks, n_, target_.data());
    for (int64_t i = 0; i < n_; ++i) error_[static_cast<size_t>(i)] = w[i] - target_[static_cast<size_t>(i)];
    RoundingError result;
    result.plain = cost_of_errors();
    std::copy_n(w, n_, target_.begin());
    for (int64_t begin = 0; begin < n_; begin += length_)
      round_block(w, begin, blocks + begin / length_ * block_bytes_);
    descend(w, blocks);
    result.compensated = cost_of_errors();
    return result;
  }

 private:
  void round_block(const float* w, int64_t begin, std::byte* out) {
    const float* target = target_.data() + begin;
    Trial best;
    for (const int weighting : {0, 1, 2})
      for (const float stretch : kStretches) {
        Trial trial;
        encode_trial(target, begin, weighting, stretch, trial);
        if (trial.cost < best.cost) best = trial;
      }
    std::memcpy(out, best.block, block_bytes_);
    std::copy_n(best.codes, length_, codes_.begin() + begin);
    for (int64_t i = 0; i < length_; ++i) {
      error_[static_cast<size_t>(begin + i)] = w[begin + i] - best.values[i];
      feed_back(begin + i, begin + length_);
    }
  }

  // An error in column i moves the targets of the columns from `first` on.
  void feed_back(int64_t i, int64_t first) {
    const float error = error_[static_cast<size_t>(i)];
    const float* feedback = factor_.feedback_row(i);
    float* target = target_.data();
    for (int64_t j = first; j < n_; ++j) target[j] += error * feedback[j];
  }

  // Scales by the encoder, codes by feedback within the block.
  void encode_trial(const float* target, int64_t begin, int weighting, float stretch, Trial& trial) {
    float stretched[kMaxGridBlock], moving[kMaxGridBlock];
    for (int64_t i = 0; i < length_; ++i) stretched[i] = target[i] * stretch, moving[i] = 0;
    const float* importance[] = {nullptr, importance_.data() + begin, diagonal_.data() + begin};
    codec_.encode(stretched, length_, importance[weighting], trial.block);
    grid_.read(format_, trial.block);
    trial.cost = 0;
    for (int64_t j = 0; j < length_; ++j) {
      const float* r = factor_.factor_row(begin + j) + begin;
      const float wanted = target[j] + moving[j] / r[j];
      const int code = grid_.nearest(static_cast<int>(j), wanted);
      const float value = grid_.value(static_cast<int>(j), code);
      trial.codes[j] = static_cast<uint8_t>(code);
      trial.values[j] = value;
      const double lost = static_cast<double>(wanted - value) * r[j];
      trial.cost += lost * lost;
      const float error = target[j] - value;
      for (int64_t k = j + 1; k < length_; ++k) moving[k] += error * r[k];
    }
    if (!std::isfinite(trial.cost)) trial.cost = HUGE_VAL;
  }

  // gradient = error H, and error H error^T.
  double cost_of_errors() {
    std::ranges::fill(gradient_, 0.0f);
    for (int64_t i = 0; i < n_; ++i) add_to_gradient(i, error_[static_cast<size_t>(i)]);
    double cost = 0;
    for (int64_t i = 0; i < n_; ++i)
      cost += static_cast<double>(gradient_[static_cast<size_t>(i)]) * error_[static_cast<size_t>(i)];
    return cost;
  }

  void add_to_gradient(int64_t i, float error) {
    const float* h = factor_.moments_row(i);
    for (int64_t k = 0; k < n_; ++k) gradient_[static_cast<size_t>(k)] += error * h[k];
  }

  // Moves single codes to where the row's error is smallest with all others as they are. Writes the codes.
  void descend(const float* w, std::byte* blocks) {
    cost_of_errors();
    for (int sweep = 0, n_moved = 1; sweep < kMaxSweeps && n_moved > 0; ++sweep) {
      n_moved = 0;
      for (int64_t begin = 0; begin < n_; begin += length_) {
        std::byte* block = blocks + begin / length_ * block_bytes_;
        grid_.read(format_, block);
        for (int64_t j = begin; j < begin + length_; ++j) n_moved += move_code(w, begin, j);
        format_.set_codes(codes_.data() + begin, block);
      }
    }
  }

  bool move_code(const float* w, int64_t begin, int64_t j) {
    const auto at = static_cast<size_t>(j);
    const int i = static_cast<int>(j - begin);
    const float h = factor_.moments_row(j)[j];
    if (h <= 0) return false;
    const float value = w[j] - error_[at];
    const int code = grid_.nearest(i, value + gradient_[at] / h);
    if (code == codes_[at]) return false;
    const float change = grid_.value(i, code) - value;  // of the value; the error moves the other way
    if (change * (change * h - 2 * gradient_[at]) >= 0) return false;
    codes_[at] = static_cast<uint8_t>(code);
    error_[at] -= change;
    add_to_gradient(j, -change);
    return true;
  }

  TensorType type_;
  const GridFormat& format_;
  const Codec& codec_;
  const MomentFactor& factor_;
  int64_t n_, length_;
  size_t block_bytes_;
  BlockGrid grid_;
  std::vector<float> error_, target_, gradient_;
  std::vector<uint8_t> codes_;
  std::vector<float> importance_, diagonal_;
};

}  // namespace

Result<MomentFactor> MomentFactor::create(std::span<const float> moments, int64_t n, int64_t block_length,
                                          double damping) {
  CHECK(static_cast<int64_t>(moments.size()) == n * n && block_length >= 1 && n % block_length == 0);
  MomentFactor factor;
  factor.n_ = n, factor.block_ = block_length;
  factor.h_.assign(moments.begin(), moments.end());
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += factor.h_[static_cast<size_t>(i * n + i)];
  const double mean = sum / static_cast<double>(n);
  if (!std::isfinite(mean)) return fail("second moments that are no numbers");
  std::vector<double> r;
  for (double more = mean > 0 ? damping * mean : 1.0;; more *= 10) {
    r.assign(moments.begin(), moments.end());
    for (int64_t i = 0; i < n; ++i) {
      double& diagonal = r[static_cast<size_t>(i * n + i)];
      diagonal += more;
      factor.h_[static_cast<size_t>(i * n + i)] = static_cast<float>(diagonal);
    }
    if (factorize(r, n)) break;
    if (!(more < 1e3 * (mean + 1))) return fail("second moments that are not positive definite");
  }
  factor.r_.resize(r.size());
  factor.f_.resize(r.size());
  for (int64_t i = 0; i < n; ++i) {
    double* const row = r.data() + i * n;
    for (int64_t j = i; j < n; ++j) factor.r_[static_cast<size_t>(i * n + j)] = static_cast<float>(row[j]);
  }
  std::vector<double> x(static_cast<size_t>(block_length));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t begin = (i / block_length + 1) * block_length; begin < n; begin += block_length) {
      for (int64_t j = 0; j < block_length; ++j)
        x[static_cast<size_t>(j)] = r[static_cast<size_t>(i * n + begin + j)];
      solve_block(r, n, begin, block_length, x.data());
      for (int64_t j = 0; j < block_length; ++j)
        factor.f_[static_cast<size_t>(i * n + begin + j)] = static_cast<float>(x[static_cast<size_t>(j)]);
    }
  return factor;
}

RoundingError encode_compensated(TensorType type, const float* w, int64_t n_rows, const MomentFactor& factor,
                                 std::byte* blocks, ThreadPool& pool) {
  CHECK(find_grid(type) != nullptr &&
        factor.block_length() == static_cast<int64_t>(type_info(type).block_length));
  const uint64_t n_bytes = row_bytes(type, factor.n());
  std::vector<RowRounder> rounders(static_cast<size_t>(pool.size()), RowRounder(type, factor));
  std::vector<RoundingError> errors(static_cast<size_t>(n_rows));
  pool.parallel_for(n_rows, 1, [&](int64_t begin, int64_t end, int thread) {
    RowRounder& rounder = rounders[static_cast<size_t>(thread)];
    for (int64_t i = begin; i < end; ++i)
      errors[static_cast<size_t>(i)] =
          rounder.round(w + i * factor.n(), blocks + static_cast<uint64_t>(i) * n_bytes);
  });
  RoundingError sum;
  for (const RoundingError& error : errors) sum.plain += error.plain, sum.compensated += error.compensated;
  return sum;
}

}  // namespace carat
