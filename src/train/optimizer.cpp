// AdamW over pieces of a few thousand numbers, so that sums are cut the same way for any number of threads.
#include "train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "train/trainer.h"

namespace carat::train {
namespace {

constexpr int64_t kPiece = 8192;

}  // namespace

double schedule(const Options& options, int64_t step, int64_t n_steps) {
  const double warm =
      options.warmup_steps <= 0
          ? 1
          : std::min(1.0, static_cast<double>(step + 1) / static_cast<double>(options.warmup_steps));
  const double done = static_cast<double>(step) / static_cast<double>(std::max<int64_t>(1, n_steps));
  if (done <= options.flat_fraction || options.flat_fraction >= 1) return warm;
  const double along = (done - options.flat_fraction) / (1 - options.flat_fraction);
  const double cosine = 0.5 * (1 + std::cos(std::numbers::pi * along));
  return warm * (options.final_fraction + (1 - options.final_fraction) * cosine);
}

std::vector<Piece> cut_into_pieces(const Parameters& parameters) {
  std::vector<Piece> pieces;
  for (const Parameter& p : parameters.list) {
    if (!p.trainable) continue;
    const bool decays = p.role == TensorRole::matrix || p.role == TensorRole::expert_matrix;
    for (int64_t at = 0; at < p.size; at += kPiece)
      pieces.push_back({p.offset + static_cast<size_t>(at), std::min(kPiece, p.size - at), decays});
  }
  return pieces;
}

double sum_lanes(std::span<const float* const> lanes, std::span<const Piece> pieces, float scale,
                 std::span<float> gradient, ThreadPool& pool) {
  const VectorLoops& loops = vector_loops();
  std::vector<double> squares(pieces.size());
  pool.parallel_for(static_cast<int64_t>(pieces.size()), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const Piece& piece = pieces[static_cast<size_t>(i)];
      const auto offset = static_cast<int64_t>(piece.offset);
      squares[static_cast<size_t>(i)] = loops.sum_lanes(lanes.data(), static_cast<int>(lanes.size()), offset,
                                                        offset + piece.size, scale, gradient.data());
    }
  });
  double sum = 0;
  for (const double square : squares) sum += square;
  return sum;
}

AdamStep adam_step(double learning_rate, double beta1, double beta2, double epsilon, int64_t t) {
  const auto time = static_cast<double>(t);
  AdamStep adam{};
  adam.beta1 = static_cast<float>(beta1);
  adam.beta2 = static_cast<float>(beta2);
  adam.epsilon = static_cast<float>(epsilon);
  adam.learning_rate = static_cast<float>(learning_rate / (1 - std::pow(beta1, time)));
  adam.second_correction = static_cast<float>(1 / (1 - std::pow(beta2, time)));
  return adam;
}

Optimizer::Optimizer(const Parameters& parameters, const Options& options)
    : beta1_(options.beta1),
      beta2_(options.beta2),
      epsilon_(options.epsilon),
      weight_decay_(options.weight_decay),
      clip_norm_(options.clip_norm),
      pieces_(cut_into_pieces(parameters)),
      gradient_(parameters.values.size()),
      moment1_(parameters.values.size()),
      moment2_(parameters.values.size()) {}

double Optimizer::collect(std::span<const float* const> lanes, float scale, ThreadPool& pool) {
  return norm_ = std::sqrt(sum_lanes(lanes, pieces_, scale, gradient_, pool));
}

void Optimizer::step(Parameters& parameters, double learning_rate, int64_t t, ThreadPool& pool) {
  const VectorLoops& loops = vector_loops();
  const AdamStep adam = adam_step(learning_rate, beta1_, beta2_, epsilon_, t);
  const auto decay = static_cast<float>(learning_rate * weight_decay_);
  const float clip = clip_norm_ > 0 && norm_ > clip_norm_ ? static_cast<float>(clip_norm_ / norm_) : 1.0f;
  pool.parallel_for(static_cast<int64_t>(pieces_.size()), 1, [&](int64_t begin, int64_t end, int) {
    AdamStep own = adam;
    for (int64_t i = begin; i < end; ++i) {
      const Piece& piece = pieces_[static_cast<size_t>(i)];
      own.decay = piece.decays ? decay : 0;
      loops.adam(own, clip, gradient_.data() + piece.offset, piece.size,
                 parameters.values.data() + piece.offset, moment1_.data() + piece.offset,
                 moment2_.data() + piece.offset);
    }
  });
}

}  // namespace carat::train
