// The rotary embedding's frequencies of a layer.
#pragma once

#include <vector>

#include "model/config.h"
#include "tensor/tensor.h"

namespace carat {

// inverse_frequency[i] = theta^(-2i/d), on full layers divided by the file's divisors (rope_freqs, F32 [d/2];
// absent: only the first quarter of a full layer's pairs turns). 0 for pairs that do not turn. [head_dim / 2]
std::vector<float> inverse_frequencies(const LayerConfig& layer, const Tensor& divisors);

}  // namespace carat
