// AdamW with a global clip of the gradient's norm; weight decay on projections only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/memory.h"
#include "base/thread_pool.h"
#include "train/parameters.h"
#include "train/vector_loops.h"

namespace carat::train {

struct Options;

// Part of one trainable tensor: what one thread adds up or moves at a time.
struct Piece {
  size_t offset;
  int64_t size;
  bool decays;  // projections do
};
std::vector<Piece> cut_into_pieces(const Parameters& parameters);

// gradient = scale * sum of the lanes' gradients where there are pieces, in lane order and so the same for any number of
// threads. Returns the sum of its squares.
double sum_lanes(std::span<const float* const> lanes, std::span<const Piece> pieces, float scale,
                 std::span<float> gradient, ThreadPool& pool);

// One step of Adam without decay; `t` counts from 1 and corrects both moments (Kingma and Ba 2015, algorithm 1).
AdamStep adam_step(double learning_rate, double beta1, double beta2, double epsilon, int64_t t);

// The share of the full learning rate at a step: linear warm-up, flat, cosine down to options.final_fraction.
double schedule(const Options& options, int64_t step, int64_t n_steps);

class Optimizer {
 public:
  Optimizer(const Parameters& parameters, const Options& options);

  // sum_lanes(), kept; returns the gradient's norm. Then step() applies it with the clip.
  double collect(std::span<const float* const> lanes, float scale, ThreadPool& pool);
  // `t` counts from 1.
  void step(Parameters& parameters, double learning_rate, int64_t t, ThreadPool& pool);

  std::span<const float> gradient() const { return gradient_; }
  std::span<float> moment1() { return moment1_; }
  std::span<float> moment2() { return moment2_; }

 private:
  double beta1_, beta2_, epsilon_, weight_decay_, clip_norm_;
  double norm_ = 0;
  std::vector<Piece> pieces_;
  AlignedArray<float> gradient_, moment1_, moment2_;
};

}  // namespace carat::train
