// Grids: the values that the elements of a block can have once its scales are fixed, and writing the codes
// that somebody chose. Encoders find scales and codes together; whoever rounds with a view to more than the
// nearest value keeps the scales and chooses the codes anew (quant/compensation.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/type.h"

namespace carat {

struct GridFormat {
  TensorType type;
  int n_codes;   // codes are 0 … n_codes - 1
  bool uniform;  // their values are evenly spaced, in order
  // Writes the codes of a whole block in element order and leaves its scales.
  void (*set_codes)(const uint8_t* codes, std::byte* block);
  // Where the block's F16 scales stand, in bytes; -1: it has none of the kind. A minimum multiplies the value of
  // code 0, the scale what comes on top of it; without a minimum the scale multiplies all of it.
  int scale_at = -1, minimum_at = -1;
  // Significant bits that a scale can have for BF16's 8 to hold scale times value for every code; 0: no useful number.
  int bf16_scale_bits = 0;
};

// nullptr: the type has no codes (floats), or no encoder.
const GridFormat* find_grid(TensorType type);

inline constexpr int kMaxGridCodes = 16;   // of a format that is not uniform
inline constexpr int kMaxGridBlock = 256;  // elements

// The grid of one block, as the codec decodes it.
class BlockGrid {
 public:
  // `block` is overwritten but for its scales.
  void read(const GridFormat& format, std::byte* block);

  // The code of element i whose value is nearest to x; the lower one on ties.
  int nearest(int i, float x) const;
  float value(int i, int code) const {
    return uniform_ ? first_[i] + static_cast<float>(code) * step_[i] : table_[code][i];
  }
  // The least of element i's values (uniform grids: code 0's, which is the greatest where the scale is negative), and
  // the mean distance from one value to the next: values as numbers between 0 and n_codes - 1, which stay when the
  // block's scale is changed.
  float origin(int i) const { return first_[i]; }
  float step(int i) const { return step_[i]; }

 private:
  bool uniform_ = true;
  int n_codes_ = 0;
  float first_[kMaxGridBlock], step_[kMaxGridBlock];
  float table_[kMaxGridCodes][kMaxGridBlock];  // [code][element], of a grid that is not uniform
};

}  // namespace carat
