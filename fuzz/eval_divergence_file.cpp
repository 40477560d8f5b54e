// Any bytes: the reader of divergence base files must refuse them in one line, or hand out tokens of its vocabulary and
// distributions that can be read.
#include <cmath>
#include <cstdint>
#include <string_view>

#include "eval/divergence_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto base = carat::parse_divergence_base({reinterpret_cast<const std::byte*>(data), size}, "fuzz");
  if (!base) {
    CHECK(std::string_view(base.error().message).starts_with("fuzz: "));
    CHECK(base.error().message.find('\n') == std::string::npos);
    return 0;
  }
  CHECK(static_cast<int64_t>(base->tokens.size()) == base->n_chunks * base->n_ctx);
  for (const carat::Token token : base->tokens) CHECK(token >= 0 && token < base->n_vocab);
  for (int64_t i = 0; i < base->n_records(); ++i)
    for (int64_t v = 0; v < base->n_vocab; ++v) {
      const double log_p = base->record(i).log_probability(v);
      CHECK(std::isfinite(log_p) && log_p < 0.1);
    }
  return 0;
}
