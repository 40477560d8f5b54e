// The tensors of a quantized network that tuning moves: codes and scales of those in blocks, and gains in
// F32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gguf/reader.h"
#include "train/parameters.h"
#include "train/tuned_codes.h"

namespace carat::train {

struct TunedTensor {
  std::string name;
  std::vector<std::byte> bytes;  // in the type that it has in the quantized model
};

// The largest step of a code in steps of its grid, and of scales and gains relative to themselves. Both warm
// up, and shrink to nothing along a cosine.
struct TuneRates {
  double code, scale;
};

class TunedTensors {
 public:
  // Of `student`, read from `quantized`, whatever can move; `original` is what it was made from, in the same
  // layout. `pull` is that of TunedCodes.
  TunedTensors(const Parameters& student, const Parameters& original, const gguf::File& quantized,
               double pull, ThreadPool& pool);

  // Step `step` of n_steps against `gradient`, an arena like the student's, which gets the new values.
  void move(const TuneRates& rates, int64_t step, int64_t n_steps, const float* gradient, Parameters& student,
            ThreadPool& pool);

  std::vector<TunedTensor> take() const;

 private:
  // A gain, or a vector of them, in units of their root mean square.
  struct Gains {
    float unit;
    std::vector<float> values, moment1, moment2;
  };
  template <class T>
  struct Moving {
    Parameter parameter;
    T tensor;
  };

  std::vector<Moving<std::unique_ptr<TunedCodes>>> codes_;
  std::vector<Moving<Gains>> gains_;
};

}  // namespace carat::train
