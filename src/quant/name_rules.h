// Name rules: "tensors whose name matches this pattern get that type", as users write them.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "tensor/tensor.h"

namespace carat {

// ECMAScript regex searched in the tensor's name -> type.
using NameRule = std::pair<std::string, TensorType>;

// For each tensor the type of the first rule that matches. An invalid pattern is an error that shows it, and so is
// one that matches no tensor: it is misspelt.
Result<std::vector<std::optional<TensorType>>> match_rules(std::span<const Tensor> tensors,
                                                           std::span<const NameRule> rules);

}  // namespace carat
