// Any bytes: a training checkpoint is taken whole or refused in one line, with nothing changed.
#include <cstdint>
#include <cstring>

#include "train/checkpoint.h"

namespace {

using namespace carat;

train::Parameters smallest_network() {
  LayerConfig layer;
  layer.head_dim = 2;
  layer.n_heads = layer.n_kv_heads = 1;
  layer.n_ff = 2;
  Config config;
  config.dim = 2;
  config.n_vocab = 2;
  config.context_length = 4;
  config.layers = make_layers("F", 1, 0, layer, layer);
  return train::make_parameters(config);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static train::Parameters parameters = smallest_network();
  static train::Optimizer optimizer(parameters, train::Options{});
  std::memset(parameters.values.data(), 0, parameters.values.size() * sizeof(float));
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto progressed = train::parse_checkpoint(bytes, "fuzz", "seed 1\n", parameters, optimizer);
  if (progressed.has_value()) return 0;
  CHECK(progressed.error().message.rfind("fuzz: ", 0) == 0);
  for (const float value : parameters.values.span()) CHECK(value == 0);
  return 0;
}
