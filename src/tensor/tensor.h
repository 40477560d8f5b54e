// Tensor: a named, typed, shaped view of bytes that somebody else owns (a mapped file, a buffer).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/check.h"
#include "tensor/type.h"

namespace carat {

// Dimensions fastest first, as in GGUF: shape[0] is the row length. A weight matrix of shape [in, out]
// computes y[o] = sum_i w[i, o] x[i]. Unused dimensions are 1.
using Shape = std::array<int64_t, 4>;

struct Tensor {
  std::string_view name;
  TensorType type = TensorType::F32;
  Shape shape{1, 1, 1, 1};
  const std::byte* data = nullptr;  // nullptr: the tensor is absent
  // The elements are what the bytes decode to, times this: one factor, or one for each matrix of a stack.
  // nullptr: 1. Files keep such factors as tensors of their own, so a file's tensors have none; a model's
  // weights may.
  const float* scale = nullptr;
  // The rows once more, as the kernels of the backend that made them like to read them (Backend::repack); nullptr: there
  // are none. Only products look here.
  const std::byte* packed = nullptr;

  explicit operator bool() const { return data != nullptr; }

  int64_t n_columns() const { return shape[0]; }
  int64_t n_rows() const { return shape[1] * shape[2] * shape[3]; }
  int64_t n_elements() const { return n_columns() * n_rows(); }
  uint64_t row_bytes() const { return carat::row_bytes(type, shape[0]); }
  uint64_t n_bytes() const { return row_bytes() * static_cast<uint64_t>(n_rows()); }
  const std::byte* row(int64_t i) const { return data + static_cast<uint64_t>(i) * row_bytes(); }
  std::span<const std::byte> bytes() const { return {data, n_bytes()}; }

  // What the elements of matrix 0 are multiplied by.
  float factor() const { return scale == nullptr ? 1.0f : *scale; }

  // The elements of an F32 tensor without a scale.
  const float* f32() const {
    CHECK(type == TensorType::F32);
    return reinterpret_cast<const float*>(data);
  }

  // Matrix i of a stack [in, out, n], e.g. one expert.
  Tensor slice(int64_t i) const {
    CHECK(i >= 0 && i < shape[2] * shape[3]);
    return {name,
            type,
            {shape[0], shape[1], 1, 1},
            data + static_cast<uint64_t>(i * shape[1]) * row_bytes(),
            scale == nullptr ? nullptr : scale + i,
            packed == nullptr ? nullptr : packed + static_cast<uint64_t>(i * shape[1]) * row_bytes()};
  }
};

// "[1536, 262144]": without trailing ones.
std::string to_string(const Shape& shape);

}  // namespace carat
