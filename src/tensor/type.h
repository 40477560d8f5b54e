// TensorType: every element type a GGUF tensor can have, as one table. Naming a type here does not mean that
// Carat can compute with it: that is decided by the codec table (quant/codec.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace carat {

// The ids of the file format (ggml_type). Gaps are types that were removed from the format.
enum class TensorType : uint32_t {
  F32 = 0, F16 = 1, Q4_0 = 2, Q4_1 = 3, Q5_0 = 6, Q5_1 = 7, Q8_0 = 8, Q8_1 = 9,
  Q2_K = 10, Q3_K = 11, Q4_K = 12, Q5_K = 13, Q6_K = 14, Q8_K = 15,
  IQ2_XXS = 16, IQ2_XS = 17, IQ3_XXS = 18, IQ1_S = 19, IQ4_NL = 20, IQ3_S = 21, IQ2_S = 22, IQ4_XS = 23,
  I8 = 24, I16 = 25, I32 = 26, I64 = 27, F64 = 28, IQ1_M = 29, BF16 = 30,
  TQ1_0 = 34, TQ2_0 = 35, MXFP4 = 39, NVFP4 = 40, Q1_0 = 41, Q2_0 = 42,
};

struct TypeInfo {
  TensorType type;
  std::string_view name;  // canonical spelling, e.g. "Q4_K"
  uint32_t block_length;  // elements per block; a row is a whole number of blocks
  uint32_t block_bytes;

  double bits_per_weight() const { return 8.0 * block_bytes / block_length; }
};

std::span<const TypeInfo> all_types();
const TypeInfo* find_type(uint32_t id);                          // nullptr: no such type
std::optional<TensorType> parse_type_name(std::string_view name);  // case-insensitive
const TypeInfo& type_info(TensorType type);
inline std::string_view type_name(TensorType type) { return type_info(type).name; }

// One number for each element, of a width that Carat computes with: F32, F16, BF16.
bool is_float(TensorType type);

// Bytes of a row of n elements; n must be a multiple of the block length.
uint64_t row_bytes(TensorType type, int64_t n);

}  // namespace carat
