// Codec: how one tensor type turns a row of floats into blocks and back. The table in codec.cpp has one line per
// format; everything (loading, the slow path of every kernel, quantizing, QAT, reports, fuzzing) goes through it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/thread_pool.h"
#include "tensor/tensor.h"

namespace carat {

struct Codec {
  TensorType type;

  // The largest magnitude that a block of this type can stand for; encoding more would saturate without a word.
  // Whether a row below it fits also depends on its other values: encode, decode, and look for infinities.
  float largest;

  // out[n] from n / block_length blocks; n is a multiple of the block length. Never fails: every bit pattern
  // decodes to something (perhaps NaN). Safe on untrusted bytes.
  void (*decode)(const std::byte* blocks, int64_t n, float* out);

  // One row of n floats to blocks, bit-equal to ggml's reference encoder. `importance` (n weights >= 0, the mean
  // square of each input column, or nullptr) selects the weighted search where the format has one.
  // nullptr: a format that Carat reads and runs but does not write. Ask can_encode() before relying on it.
  void (*encode)(const float* row, int64_t n, const float* importance, std::byte* blocks);

  // Only where there is no encoder: writes the block's super-scale and leaves the rest, every value of which is
  // valid. So random bytes become random weights of any spread (model/synth.h).
  void (*set_scale)(float d, std::byte* block) = nullptr;
};

std::span<const Codec> codecs();
const Codec* find_codec(TensorType type);  // nullptr: Carat cannot compute with this type
bool can_encode(TensorType type);          // false also where Carat cannot compute with the type
const Codec& codec_of(TensorType type);    // CHECKs

// Whole tensors, row by row over the pool; decoding multiplies by the tensor's scale, encoding CHECKs
// can_encode(type). `out` holds n_elements floats / row_bytes * n_rows bytes.
void decode_tensor(const Tensor& tensor, float* out, ThreadPool& pool);
void encode_tensor(TensorType type, const float* values, int64_t n_columns, int64_t n_rows, const float* importance,
                   std::byte* out, ThreadPool& pool);

}  // namespace carat
