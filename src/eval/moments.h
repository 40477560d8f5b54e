// Second moments of what reaches a model's matrices: sum over tokens of x^T x, for error-compensating
// rounding.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "eval/tapped_backend.h"

namespace carat {

struct InputMoments {
  int64_t n = 0;
  double n_tokens = 0;
  std::vector<float> sum;  // [n, n], symmetric

  std::vector<float> mean() const;  // sum / n_tokens
};

// Sums up the inputs of the matrices that it was asked about. Weights that read the same rows share one sum.
class MomentCollector {
 public:
  // `products` computes them and outlives this.
  MomentCollector(Backend& products, std::set<std::string, std::less<>> names);

  void add(const TappedInput& input);
  // nullptr: nothing reached this matrix.
  const InputMoments* find(std::string_view name, int64_t matrix) const;

 private:
  void add_to(InputMoments& moments, const float* x, int64_t n_rows);
  float* transposed(const float* x, int64_t n_rows, int64_t n);

  Backend& backend_;
  std::set<std::string, std::less<>> names_;
  std::map<std::string, std::string, std::less<>> shared_with_;  // name -> whose sums it uses
  std::map<std::pair<std::string, int64_t>, InputMoments> moments_;
  std::unique_ptr<Buffer> columns_, product_;
};

}  // namespace carat
