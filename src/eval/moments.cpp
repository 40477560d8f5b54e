// X^T X of a call's rows is a matrix product like any other: the backend's, with the transposed rows as the
// weight.
#include "eval/moments.h"

#include <utility>

namespace carat {
namespace {

float* room(Backend& backend, std::unique_ptr<Buffer>& buffer, int64_t n_floats) {
  const auto n_bytes = static_cast<size_t>(n_floats) * sizeof(float);
  if (!buffer || buffer->size() < n_bytes) buffer = backend.allocate(n_bytes);
  return static_cast<float*>(buffer->data());
}

}  // namespace

std::vector<float> InputMoments::mean() const {
  std::vector<float> mean(sum);
  for (float& v : mean) v = static_cast<float>(v / n_tokens);
  return mean;
}

MomentCollector::MomentCollector(Backend& products, std::set<std::string, std::less<>> names)
    : backend_(products), names_(std::move(names)) {}

void MomentCollector::add(const TappedInput& input) {
  const Tensor* first = nullptr;
  for (const Tensor* weight : input.weights) {
    if (!names_.contains(weight->name)) continue;
    if (first == nullptr) first = weight;
    shared_with_.insert_or_assign(std::string(weight->name), std::string(first->name));
  }
  if (first == nullptr) return;
  InputMoments& moments = moments_[{std::string(first->name), input.matrix}];
  if (moments.sum.empty()) {
    moments.n = first->n_columns();
    moments.sum.resize(static_cast<size_t>(moments.n * moments.n));
  }
  add_to(moments, input.x, input.n_rows);
}

void MomentCollector::add_to(InputMoments& moments, const float* x, int64_t n_rows) {
  const int64_t n = moments.n;
  const float* columns = transposed(x, n_rows, n);
  float* const product = room(backend_, product_, n * n);
  const Tensor weight{
      "", TensorType::F32, {n_rows, n, 1, 1}, reinterpret_cast<const std::byte*>(columns), nullptr};
  const Product request{&weight, product, n};
  backend_.matmul({&request, 1}, columns, n);
  for (size_t i = 0; i < moments.sum.size(); ++i) moments.sum[i] += product[i];
  moments.n_tokens += static_cast<double>(n_rows);
}

// x [n_rows, n] as [n, n_rows].
float* MomentCollector::transposed(const float* x, int64_t n_rows, int64_t n) {
  float* const columns = room(backend_, columns_, n_rows * n);
  constexpr int64_t kTile = 16;
  for (int64_t first = 0; first < n; first += kTile)
    for (int64_t r = 0; r < n_rows; ++r)
      for (int64_t i = first; i < n && i < first + kTile; ++i) columns[i * n_rows + r] = x[r * n + i];
  return columns;
}

const InputMoments* MomentCollector::find(std::string_view name, int64_t matrix) const {
  const auto shared = shared_with_.find(name);
  if (shared == shared_with_.end()) return nullptr;
  const auto found = moments_.find({shared->second, matrix});
  return found == moments_.end() ? nullptr : &found->second;
}

}  // namespace carat
