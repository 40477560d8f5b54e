// GGUF writer: streams tensors of any size through a fixed buffer into a file that appears whole or not at all.
// The bytes equal those of the format's reference writer (docs/decisions/0001-gguf-layout.md).
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/progress.h"
#include "base/result.h"
#include "gguf/metadata.h"
#include "tensor/tensor.h"

namespace carat::gguf {

// Takes a tensor's bytes in order, in pieces of any size.
using ByteSink = std::function<Result<void>(std::span<const std::byte>)>;

struct TensorToWrite {
  std::string name;
  TensorType type;
  Shape shape{1, 1, 1, 1};
  // Called once, when the tensor's turn comes; must feed exactly the tensor's bytes to the sink.
  std::function<Result<void>(const ByteSink&)> produce;
};

// A tensor whose bytes already exist; the view must outlive write().
TensorToWrite existing(const Tensor& tensor);
// A tensor that owns its bytes (copied): small tensors, tests.
TensorToWrite owned(std::string name, TensorType type, const Shape& shape, std::vector<std::byte> bytes);
TensorToWrite owned_f32(std::string name, const Shape& shape, std::span<const float> values);

// Writes `path` (see OutputFile). Checks names, duplicates, shapes against block lengths, and byte counts; refuses
// what the reader would refuse. Writes one whole file: keys that say which part of a split model it was are left out.
// `progress` counts tensor bytes and hears printable names. Stops with an error when interrupted().
Result<void> write(const std::string& path, const Metadata& metadata, const std::vector<TensorToWrite>& tensors,
                   const Progress& progress = nullptr);
// The same into an open file, which the caller commits or maps.
Result<void> write(OutputFile& file, const Metadata& metadata, const std::vector<TensorToWrite>& tensors,
                   const Progress& progress = nullptr);

}  // namespace carat::gguf
