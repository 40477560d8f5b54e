// The only file that sees std::regex: it is slow to compile, throws, and confuses g++'s flow analysis.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored \
    "-Wmaybe-uninitialized"  // in std::function inside std::regex, sanitizer builds
#endif
#include "quant/name_rules.h"

#include <regex>

namespace carat {

Result<std::vector<std::optional<TensorType>>> match_rules(std::span<const Tensor> tensors,
                                                           std::span<const NameRule> rules) {
  std::vector<std::optional<TensorType>> types(tensors.size());
  for (const auto& [pattern, type] : rules) {
    try {
      const std::regex regex(pattern, std::regex::ECMAScript);
      bool used = false;
      for (size_t i = 0; i < tensors.size(); ++i) {
        if (!std::regex_search(tensors[i].name.begin(), tensors[i].name.end(), regex)) continue;
        used = true;
        if (!types[i]) types[i] = type;
      }
      if (!used) return fail("the rule '{}={}' matches no tensor's name", pattern, type_name(type));
    } catch (const std::regex_error& error) {
      return fail("'{}' is not a regular expression that can be used: {}", pattern, error.what());
    }
  }
  return types;
}

}  // namespace carat
