// Parts: what a model's tensors are for, and which types each part is made of: what a file really is,
// whatever its name says.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace carat {

enum class Part {
  embedding,            // the head, too, where the file has none
  head,                 // output.weight
  per_layer_embedding,  // E2B, E4B
  per_layer_projection,
  attention,
  ffn,
  experts,
  norms,
  other,  // routers, scales, rope divisors, whatever is not Gemma 4's
};

std::string_view name_of(Part part);
Part part_of(std::string_view tensor_name);
// Whether quantizing is about it: attention, FFN, experts, per-layer projections.
bool is_matrix_part(Part part);

struct PartFacts {
  struct Type {
    TensorType type;
    int64_t n_tensors;
    uint64_t n_bytes;
  };
  Part part;
  int64_t n_tensors = 0, n_elements = 0;
  uint64_t n_bytes = 0;
  std::vector<Type> types;  // most bytes first
};

// The parts that are there, in the order of the enumeration.
std::vector<PartFacts> parts_of(std::span<const Tensor> tensors);

// The type with the most bytes among the matrices, or among all tensors where there are no matrices. Needs a
// tensor.
TensorType main_matrix_type(std::span<const PartFacts> parts);

// "Q4_0 in all matrices, embedding Q6_K": one phrase; "no tensors" for none.
std::string describe_types(std::span<const PartFacts> parts);

}  // namespace carat
