// The Gemma 4 architecture as data: which tensors a Config implies, how a Config is written into metadata,
// and the configs of the published sizes. Loading, training and synthetic models share these tables.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/metadata.h"
#include "model/config.h"
#include "tensor/tensor.h"

namespace carat {

enum class TensorRole {
  token_embedding,  // also the head
  per_layer_embedding,
  matrix,         // a projection [in, out]
  expert_matrix,  // a stack [in, out, n_experts]
  norm,           // F32 gains
  router,         // F32 matrix
  scale,          // F32 factors: layer_output_scale, router and expert scales, rope_freqs
  table,          // integers
};

struct TensorSlot {
  std::string name;  // as in the file
  Shape shape;
  TensorRole role;
  int layer;  // -1: none
  bool required;
};

// Every tensor that a file of this config holds, in the order in which Carat writes it.
std::vector<TensorSlot> tensor_slots(const Config& config);

// Sets general.architecture and every gemma4.* key; read_config(describe(c)) gives c back.
void describe(const Config& config, gguf::Metadata& metadata);
// The same for another architecture of the family, whose keys begin with its name.
void describe(const Config& config, std::string_view architecture, gguf::Metadata& metadata);

// "e2b", "e4b", "12b", "26b-a4b", "31b": the published shapes (reference sheet 1.1).
Result<Config> published_config(std::string_view size);
std::vector<std::string_view> published_sizes();

// A pattern like "SSSSF" repeated to n_layers, the last layer always full; the last n_shared layers read the
// cache of the last owning layer of their kind. Fills layers' kv_source, sliding, window and theta.
std::vector<LayerConfig> make_layers(std::string_view pattern, int n_layers, int n_shared,
                                     const LayerConfig& sliding, const LayerConfig& full);

// The layer whose cache a layer of that kind shares: the last of its kind among the first n_owning.
std::optional<int> last_owner(std::span<const LayerConfig> layers, int n_owning, bool sliding);

}  // namespace carat
