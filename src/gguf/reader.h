// GGUF reader: untrusted bytes become validated views. Nothing is copied but small metadata; tensor data stays in
// the mapping. Safe on untrusted bytes (fuzz/gguf_reader.cpp; every prefix of a valid file is tested).
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "gguf/metadata.h"
#include "tensor/tensor.h"

namespace carat::gguf {

// An open model file. Movable; the views in it live as long as the File (or any copy of `mapping`).
struct File {
  std::string path;
  uint32_t version = 3;
  uint64_t n_bytes = 0;
  Metadata metadata;
  std::vector<Tensor> tensors;  // in file order; `name` and `data` point into the mapping
  std::shared_ptr<const MappedFile> mapping;

  const Tensor* find(std::string_view name) const;  // nullptr: absent

  std::unordered_map<std::string_view, size_t> index;
};

// Maps and parses a file. Errors are one line: "model.gguf: tensor 'x': …".
Result<File> open(const std::string& path);
// The same from a mapping, which the File keeps; its path stands in messages.
Result<File> open(std::shared_ptr<const MappedFile> mapping);

// Parses bytes that the caller keeps alive; `name` stands in for the path in messages.
Result<File> parse(std::span<const std::byte> bytes, std::string_view name);

}  // namespace carat::gguf
