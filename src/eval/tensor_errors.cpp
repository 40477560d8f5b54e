// Rows decoded from both files and subtracted.
#include "eval/tensor_errors.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "model/weights.h"
#include "quant/codec.h"

namespace carat {
namespace {

constexpr int64_t kRowsLookedAt = 32;
constexpr std::string_view kBlock = "blk.", kWeight = ".weight";

// "blk.7.attn_q.weight": layer 7, role "attn_q"; "token_embd.weight": no layer, role "token_embd".
struct Place {
  std::optional<int64_t> layer;
  std::string role;
};

std::optional<Place> place_of(std::string_view name) {
  if (!name.ends_with(kWeight)) return {};
  name.remove_suffix(kWeight.size());
  if (!name.starts_with(kBlock)) return Place{std::nullopt, std::string(name)};
  name.remove_prefix(kBlock.size());
  int64_t layer = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
  const size_t n_digits = static_cast<size_t>(end - name.data());
  if (error != std::errc() || layer < 0 || n_digits + 1 >= name.size() || name[n_digits] != '.') return {};
  return Place{layer, std::string(name.substr(n_digits + 1))};
}

// One row as numbers, with the factor of its matrix that some formats keep beside it.
class Rows {
 public:
  Rows(const gguf::File& file, const Tensor& tensor)
      : tensor_(tensor), codec_(find_codec(tensor.type)), values_(static_cast<size_t>(tensor.n_columns())) {
    if (const Tensor* scale = find_scale(file, tensor.name); scale != nullptr && scale->type == TensorType::F32)
      for (int64_t i = 0; i < scale->n_elements(); ++i) factors_.push_back(scale->f32()[i]);
  }

  bool can_decode() const { return codec_ != nullptr; }

  std::span<const float> decode(int64_t r) {
    codec_->decode(tensor_.row(r), tensor_.n_columns(), values_.data());
    if (!factors_.empty()) {
      const size_t matrix = static_cast<size_t>(r / tensor_.shape[1]);
      const float factor = factors_[std::min(matrix, factors_.size() - 1)];
      for (float& value : values_) value *= factor;
    }
    return values_;
  }

 private:
  const Tensor& tensor_;
  const Codec* codec_;
  std::vector<float> factors_;
  std::vector<float> values_;
};

double relative_error(const gguf::File& file, const Tensor& tensor, const gguf::File& parent_file,
                      const Tensor& parent) {
  Rows rows(file, tensor), parent_rows(parent_file, parent);
  if (!rows.can_decode() || !parent_rows.can_decode()) return std::numeric_limits<double>::quiet_NaN();
  double error = 0, total = 0;
  const int64_t n_looked_at = std::min(kRowsLookedAt, tensor.n_rows());
  for (int64_t i = 0; i < n_looked_at; ++i) {
    const int64_t r = i * tensor.n_rows() / n_looked_at;
    const std::span<const float> values = rows.decode(r), truth = parent_rows.decode(r);
    for (size_t c = 0; c < values.size(); ++c) {
      const double difference = static_cast<double>(values[c]) - truth[c];
      error += difference * difference;
      total += static_cast<double>(truth[c]) * truth[c];
    }
  }
  return total > 0 ? std::sqrt(error / total) : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

TensorErrors tensor_errors(const Model& model, const Model& parent) {
  TensorErrors result;
  result.n_layers = parent.config.n_layers();
  std::map<std::string_view, const Tensor*> tensors;
  for (const Tensor& tensor : model.file.tensors) tensors[tensor.name] = &tensor;
  for (const Tensor& truth : parent.file.tensors) {
    const auto place = place_of(truth.name);
    const auto found = tensors.find(truth.name);
    if (!place || truth.n_rows() < 2 || found == tensors.end() || found->second->shape != truth.shape) continue;
    const double error = relative_error(model.file, *found->second, parent.file, truth);
    if (!place->layer) {
      result.whole.push_back({place->role, error});
      continue;
    }
    if (*place->layer >= result.n_layers) continue;
    const auto role = std::find(result.roles.begin(), result.roles.end(), place->role);
    const size_t index = static_cast<size_t>(role - result.roles.begin());
    if (role == result.roles.end()) {
      result.roles.push_back(place->role);
      result.errors.resize(result.roles.size() * static_cast<size_t>(result.n_layers),
                           std::numeric_limits<double>::quiet_NaN());
    }
    result.errors[index * static_cast<size_t>(result.n_layers) + static_cast<size_t>(*place->layer)] = error;
  }
  return result;
}

}  // namespace carat
