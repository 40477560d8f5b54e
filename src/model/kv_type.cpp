// Spelling of cache types.
#include "model/kv_type.h"

#include <algorithm>
#include <array>

namespace carat {
namespace {

// Those with kernels; all of them are what llama.cpp caches in, too.
constexpr std::array kCacheTypes = {TensorType::F16,  TensorType::BF16, TensorType::F32,
                                    TensorType::Q8_0, TensorType::Q5_0, TensorType::Q4_0};

}  // namespace

bool KvType::is_quantized() const { return type_info(k).block_length > 1 || type_info(v).block_length > 1; }

std::string type_name(const KvType& type) {
  if (type.k == type.v) return std::string(type_name(type.k));
  return fmt::format("{}/{}", type_name(type.k), type_name(type.v));
}

Result<KvType> parse_kv_type(std::string_view text) {
  const size_t slash = text.find('/');
  KvType type;
  const auto parse = [&](std::string_view part, TensorType& out) {
    const auto found = parse_type_name(part);
    if (found) out = *found;
    return found && std::ranges::find(kCacheTypes, *found) != kCacheTypes.end();
  };
  const bool valid = parse(text.substr(0, slash), type.k) &&
                     parse(slash == std::string_view::npos ? text : text.substr(slash + 1), type.v);
  if (!valid)
    return fail(
        "'{}' is not a cache type; expected f16, bf16, f32, q8_0, q5_0 or q4_0, or two of them for keys "
        "and values, as in q8_0/q4_0",
        text);
  return type;
}

}  // namespace carat
