// The type table. Block lengths and sizes as the GGUF format defines them.
#include "tensor/type.h"

#include "base/check.h"
#include "base/text.h"

namespace carat {
namespace {

using enum TensorType;

constexpr TypeInfo kTypes[] = {
    {F32, "F32", 1, 4},           {F16, "F16", 1, 2},           {Q4_0, "Q4_0", 32, 18},
    {Q4_1, "Q4_1", 32, 20},       {Q5_0, "Q5_0", 32, 22},       {Q5_1, "Q5_1", 32, 24},
    {Q8_0, "Q8_0", 32, 34},       {Q8_1, "Q8_1", 32, 36},       {Q2_K, "Q2_K", 256, 84},
    {Q3_K, "Q3_K", 256, 110},     {Q4_K, "Q4_K", 256, 144},     {Q5_K, "Q5_K", 256, 176},
    {Q6_K, "Q6_K", 256, 210},     {Q8_K, "Q8_K", 256, 292},     {IQ2_XXS, "IQ2_XXS", 256, 66},
    {IQ2_XS, "IQ2_XS", 256, 74},  {IQ3_XXS, "IQ3_XXS", 256, 98}, {IQ1_S, "IQ1_S", 256, 50},
    {IQ4_NL, "IQ4_NL", 32, 18},   {IQ3_S, "IQ3_S", 256, 110},   {IQ2_S, "IQ2_S", 256, 82},
    {IQ4_XS, "IQ4_XS", 256, 136}, {I8, "I8", 1, 1},             {I16, "I16", 1, 2},
    {I32, "I32", 1, 4},           {I64, "I64", 1, 8},           {F64, "F64", 1, 8},
    {IQ1_M, "IQ1_M", 256, 56},    {BF16, "BF16", 1, 2},         {TQ1_0, "TQ1_0", 256, 54},
    {TQ2_0, "TQ2_0", 256, 66},    {MXFP4, "MXFP4", 32, 17},     {NVFP4, "NVFP4", 64, 36},
    {Q1_0, "Q1_0", 128, 18},      {Q2_0, "Q2_0", 64, 18},
};

}  // namespace

std::span<const TypeInfo> all_types() { return kTypes; }

const TypeInfo* find_type(uint32_t id) {
  for (const TypeInfo& info : kTypes)
    if (static_cast<uint32_t>(info.type) == id) return &info;
  return nullptr;
}

std::optional<TensorType> parse_type_name(std::string_view name) {
  for (const TypeInfo& info : kTypes)
    if (equal_ignoring_case(info.name, name)) return info.type;
  return std::nullopt;
}

const TypeInfo& type_info(TensorType type) {
  const TypeInfo* info = find_type(static_cast<uint32_t>(type));
  CHECK(info != nullptr);
  return *info;
}

bool is_float(TensorType type) {
  return type == TensorType::F32 || type == TensorType::F16 || type == TensorType::BF16;
}

uint64_t row_bytes(TensorType type, int64_t n) {
  const TypeInfo& info = type_info(type);
  CHECK(n >= 0 && n % info.block_length == 0);
  return static_cast<uint64_t>(n) / info.block_length * info.block_bytes;
}

}  // namespace carat
