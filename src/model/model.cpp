// Opens a model: parse, config, weights, tokenizer, each checked against the others.
#include "model/model.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace carat {

uint64_t Model::weight_bytes() const {
  uint64_t n_bytes = 0;
  for (const Tensor& tensor : file.tensors) n_bytes += tensor.n_bytes();
  return n_bytes;
}

double Model::bits_per_weight() const {
  double n_weights = 0;
  for (const Tensor& tensor : file.tensors) n_weights += static_cast<double>(tensor.n_elements());
  return n_weights == 0 ? 0 : 8 * static_cast<double>(weight_bytes()) / n_weights;
}

std::string Model::type_summary() const {
  std::map<TensorType, uint64_t> n_bytes;
  for (const Tensor& tensor : file.tensors)
    if (tensor.n_rows() > 1) n_bytes[tensor.type] += tensor.n_bytes();
  std::vector<std::pair<TensorType, uint64_t>> types(n_bytes.begin(), n_bytes.end());
  std::stable_sort(types.begin(), types.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  if (types.empty()) return "no matrices";
  std::string summary(type_name(types[0].first));
  for (size_t i = 1; i < types.size(); ++i)
    summary += fmt::format("{}{}", i == 1 ? " (" : ", ", type_name(types[i].first));
  return types.size() > 1 ? summary + ")" : summary;
}

Result<std::shared_ptr<const Model>> open_model(const std::string& path) {
  return make_model(TRY(gguf::open(path)));
}

Result<std::shared_ptr<const Model>> make_model(gguf::File file) {
  Config config = TRY(read_config(file));
  Weights weights = TRY(find_weights(file, config));
  Result<Tokenizer> tokenizer = Tokenizer::load(file.metadata);
  if (!tokenizer) return fail("{}: {}", file.path, tokenizer.error().message);
  if (tokenizer->n_tokens() != config.n_vocab)
    return fail("{}: key 'tokenizer.ggml.tokens': {} tokens, expected {} as rows of token_embd.weight",
                file.path, tokenizer->n_tokens(), config.n_vocab);
  return std::make_shared<const Model>(
      Model{std::move(file), std::move(config), std::move(weights), tokenizer.take()});
}

}  // namespace carat
