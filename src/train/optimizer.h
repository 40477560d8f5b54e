// AdamW with a global clip of the gradient's norm; weight decay on projections only.
#pragma once

#include <cstdint>
#include <vector>

#include "base/memory.h"
#include "base/thread_pool.h"
#include "train/parameters.h"

namespace carat::train {

struct Options;

// The share of the full learning rate at a step: linear warm-up, flat, cosine down to options.final_fraction.
double schedule(const Options& options, int64_t step, int64_t n_steps);

class Optimizer {
 public:
  Optimizer(const Parameters& parameters, const Options& options);

  // gradient = scale * sum of the lanes' gradients, in lane order (so the same for any number of threads);
  // returns its norm. Then step() applies it with the clip.
  double collect(std::span<const float* const> lanes, float scale, ThreadPool& pool);
  // `t` counts from 1.
  void step(Parameters& parameters, double learning_rate, int64_t t, ThreadPool& pool);

  std::span<const float> gradient() const { return gradient_; }
  std::span<float> moment1() { return moment1_; }
  std::span<float> moment2() { return moment2_; }

 private:
  struct Piece {  // part of one trainable tensor
    size_t offset;
    int64_t size;
    bool decays;
  };
  double beta1_, beta2_, epsilon_, weight_decay_, clip_norm_;
  double norm_ = 0;
  std::vector<Piece> pieces_;
  std::vector<double> squares_;
  AlignedArray<float> gradient_, moment1_, moment2_;
};

}  // namespace carat::train
