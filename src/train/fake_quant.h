// Quantization inside training: weights as they will be after encoding and decoding, and the projection of a
// trained master onto that lattice, so that the published BF16 file is what was trained.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "tensor/type.h"
#include "train/parameters.h"

namespace carat::train {

using TypeOverrides = std::vector<std::pair<std::string, TensorType>>;  // regex searched in the name -> type

// The type of each parameter, by index; nothing: it stays f32 (norms, scales, routers).
using TypePlan = std::vector<std::optional<TensorType>>;

// As `carat quantize` would choose: matrices and tables get `type` or the first override that matches; rows
// that do not fit the type's blocks fall back as there. Errors: a broken regex, a type without a codec.
Result<TypePlan> plan_types(const Parameters& parameters, TensorType type, const TypeOverrides& overrides);

// used = decode(encode(values)) where planned, values elsewhere. `used` has the arena's layout. Scales are rounded to
// what lets BF16 hold every value, for formats of which it can (GridFormat::bf16_scale_bits).
void fake_quantize(const Parameters& parameters, const TypePlan& plan, std::span<float> used,
                   ThreadPool& pool);

struct Projection {
  int64_t n_rows = 0, n_unsettled_rows = 0;  // unsettled: codes still moved after the last round
};
// Moves planned weights onto the type's lattice, as BF16 numbers whose codes no longer change when they are
// encoded.
Projection project(Parameters& parameters, const TypePlan& plan, ThreadPool& pool);

}  // namespace carat::train
