// Parameters: the trainable numbers of a network, all in one arena of f32, each tensor under its name in the
// file. Gradients, moments and fake-quantized copies are further arenas of the same layout.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/memory.h"
#include "base/result.h"
#include "model/architecture.h"
#include "model/config.h"

namespace carat::train {

struct Parameter {
  std::string name;
  Shape shape;
  TensorRole role;
  int layer;       // -1: none
  size_t offset;   // floats from the arena's start, a multiple of 16
  int64_t size;    // floats
  bool trainable;  // false: rope_freqs, which only say which pairs turn

  int64_t n_columns() const { return shape[0]; }
  int64_t n_rows() const { return size / shape[0]; }
  // Matrices and tables: what quantization may touch.
  bool is_matrix() const;
};

struct Parameters {
  Config config;
  int first_layer = 0;  // of the config's, in the file: names say blk.(first_layer + i)
  std::vector<Parameter> list;
  AlignedArray<float> values;

  const Parameter* find(std::string_view name) const;  // nullptr: absent
  std::span<float> of(const Parameter& p) { return {values.data() + p.offset, static_cast<size_t>(p.size)}; }
  std::span<const float> of(const Parameter& p) const {
    return {values.data() + p.offset, static_cast<size_t>(p.size)};
  }
  int64_t n_weights() const;  // trainable floats
  Parameters clone() const;
};

// Every tensor of the config, values 0. `untied_head` adds output.weight (the token embedding is the head
// otherwise).
Parameters make_parameters(const Config& config, bool untied_head = false);

// One layer of `whole` alone: that layer, and behind it the one whose keys and values it reads, if that is another.
Config layer_config(const Config& whole, int layer);
// The layer's tensors, under their names in the file; of the one behind it there are none.
Parameters make_layer_parameters(const Config& whole, int layer);

// Random start for training from scratch; each tensor draws from its own stream, derived from seed and name.
// Matrices N(0, 1/in), token table N(0, 1/dim), per-layer table N(0, 1/per_layer_dim), q_norm and k_norm
// head_dim^-1/4 (the attention scale is 1), post norms 0.4 and 0.2, output norm 0.3, everything else 1.
void initialize(Parameters& parameters, uint64_t seed);

// The share of an F layer's pairs that turn where nothing else says: "proportional" rotary embedding.
inline constexpr double kRotatedShare = 0.25;

// The divisors of F layers' angles, and what they are where a file has none: 1 for the pairs that turn, so large for the
// others that they stand still.
inline constexpr std::string_view kRopeDivisors = "rope_freqs.weight";
void fill_rope_divisors(std::span<float> divisors);

}  // namespace carat::train
