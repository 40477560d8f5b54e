// See the header.
#include "train/tuned_tensors.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "model/weights.h"
#include "quant/codec.h"
#include "quant/grid.h"
#include "train/optimizer.h"

namespace carat::train {
namespace {

constexpr int64_t kWarmupSteps = 20;
constexpr double kBeta1 = 0.9, kBeta2 = 0.99, kEpsilon = 1e-12;

AdamStep adam(double rate, int64_t step, int64_t n_steps) {
  const double warm =
      std::min(1.0, static_cast<double>(step + 1) / static_cast<double>(std::min(kWarmupSteps, n_steps)));
  const double along = static_cast<double>(step) / static_cast<double>(n_steps);
  const double cosine = 0.5 * (1 + std::cos(std::numbers::pi * along));
  return adam_step(rate * warm * cosine, kBeta1, kBeta2, kEpsilon, step + 1);
}

bool is_gain(const Parameter& p, const Tensor& tensor) {
  return p.trainable && tensor.type == TensorType::F32 &&
         (p.role == TensorRole::norm || p.role == TensorRole::scale);
}

float root_mean_square(std::span<const float> values) {
  double squares = 0;
  for (const float v : values) squares += static_cast<double>(v) * v;
  return static_cast<float>(std::sqrt(squares / static_cast<double>(values.size())));
}

}  // namespace

TunedTensors::TunedTensors(const Parameters& student, const Parameters& original, const gguf::File& quantized,
                           double pull, ThreadPool& pool) {
  for (const Parameter& p : student.list) {
    const Tensor* found = quantized.find(p.name);
    if (found == nullptr) continue;
    if (find_grid(found->type) != nullptr) {
      Tensor tensor = *found;
      std::vector<float> factors;  // TunedCodes copies them
      if (const Tensor* scale = find_scale(quantized, tensor.name)) {
        factors.resize(static_cast<size_t>(scale->n_elements()));
        decode_tensor(*scale, factors.data(), pool);
        tensor.scale = factors.data();
      }
      codes_.push_back(
          {p, std::make_unique<TunedCodes>(tensor, original.of(p).data(), static_cast<float>(pull), pool)});
    } else if (is_gain(p, *found)) {
      const std::span<const float> values(found->f32(), static_cast<size_t>(found->n_elements()));
      gains_.push_back({p,
                        {root_mean_square(values),
                         {values.begin(), values.end()},
                         std::vector<float>(values.size()),
                         std::vector<float>(values.size())}});
    }
  }
}

void TunedTensors::move(const TuneRates& rates, int64_t step, int64_t n_steps, const float* gradient,
                        Parameters& student, ThreadPool& pool) {
  const AdamStep of_codes = adam(rates.code, step, n_steps), of_scales = adam(rates.scale, step, n_steps);
  for (auto& [p, tensor] : codes_) {
    tensor->step(of_codes, of_scales, gradient + p.offset, pool);
    tensor->decode(student.of(p).data(), pool);
  }
  for (auto& [p, gains] : gains_) {
    AdamStep own = of_scales;
    own.learning_rate *= gains.unit;
    vector_loops().adam(own, 1.0f, gradient + p.offset, p.size, gains.values.data(), gains.moment1.data(),
                        gains.moment2.data());
    std::ranges::copy(gains.values, student.of(p).begin());
  }
}

std::vector<TunedTensor> TunedTensors::take() const {
  std::vector<TunedTensor> tensors;
  for (const auto& [p, tensor] : codes_) {
    const auto blocks = tensor->blocks();
    tensors.push_back({p.name, {blocks.begin(), blocks.end()}});
  }
  for (const auto& [p, gains] : gains_) {
    const auto bytes = std::as_bytes(std::span(gains.values));
    tensors.push_back({p.name, {bytes.begin(), bytes.end()}});
  }
  return tensors;
}

}  // namespace carat::train
