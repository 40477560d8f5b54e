// KvType: what a cache keeps its keys and values in.
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "base/result.h"
#include "tensor/type.h"

namespace carat {

struct KvType {
  TensorType k = TensorType::F16, v = TensorType::F16;

  KvType() = default;
  KvType(TensorType both) : k(both), v(both) {}
  KvType(TensorType keys, TensorType values) : k(keys), v(values) {}
  friend auto operator<=>(const KvType&, const KvType&) = default;

  bool is_quantized() const;  // keys or values in blocks
};

// "Q8_0", or "Q8_0/Q4_0" where keys and values differ.
std::string type_name(const KvType& type);

// The same in any case. Error: not one or two of the types that a cache can have.
Result<KvType> parse_kv_type(std::string_view text);

}  // namespace carat
