// What a file says about itself before it is run: types, sizes, memory, a fingerprint of its bytes.
#pragma once

#include <span>
#include <string>

#include "eval/compare.h"

namespace carat {

// Quantized: more than one element per block.
inline bool is_block_type(TensorType type) { return type_info(type).block_length > 1; }

// The type of most bytes among tensors of two or more dimensions.
TensorType main_type(std::span<const Tensor> tensors);

// 16 hexadecimal digits that change with any bit of the content. For telling files apart, not for security.
std::string fingerprint(std::span<const std::byte> bytes);
// Of all parts of a file; empty for one that is not mapped.
std::string fingerprint(const gguf::File& file);

// Bytes that running the file takes: weights, one sequence's KV cache of n_ctx positions, activations of one
// batch.
uint64_t memory_bytes(const Model& model, int64_t n_ctx, KvType kv);

// Name, path, family, seed, types and sizes of a row.
ReportRow describe_file(const CompareFile& file);

// Root mean square error, relative to the root mean square value, of rounding the layers' matrices of an
// unquantized model to `type` with its reference encoder. Looks at up to 64 rows per tensor. 0 for a type without an
// encoder.
double rounding_error(const Model& model, TensorType type);

// The same as a test for lattices: near 0 when the weights lie on that type's, even where the reference encoder would
// miss it.
double lattice_error(const Model& model, TensorType type);

// "Intel(R) Xeon(R) …, 2 threads available, 23.4 GiB".
std::string describe_machine();

}  // namespace carat
