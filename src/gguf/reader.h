// GGUF reader: untrusted bytes become validated views. Nothing is copied but small metadata; tensor data
// stays in the mappings. Safe on untrusted bytes (fuzz/gguf_reader.cpp, fuzz/gguf_split.cpp; every prefix of
// a valid file is tested).
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

// One file on disk: a model has one, or several if it is split.
struct Part {
  std::string path;
  uint64_t n_bytes = 0;
  size_t first_tensor = 0, n_tensors = 0;     // of File::tensors
  std::shared_ptr<const MappedFile> mapping;  // nullptr: bytes that the caller keeps alive
};

// An open model. Movable; the views in it live as long as the File (or copies of its parts' mappings).
struct File {
  std::string path;  // of the first part
  uint32_t version = 3;
  uint64_t n_bytes = 0;  // of all parts
  Metadata metadata;     // of the first part
  std::vector<Tensor>
      tensors;              // in file order, part after part; `name` and `data` point into a part's mapping
  std::vector<Part> parts;  // in order; one unless the model is split

  const Tensor* find(std::string_view name) const;  // nullptr: absent
  // MappedFile::release_pages() of every part.
  void release_pages() const;
  // The mapping that holds this byte; nullptr: none does.
  const MappedFile* mapping_of(const std::byte* byte) const;

  std::unordered_map<std::string_view, size_t> index;
};

// Maps and parses a file. Of a split model any part may be named, and all are opened: they lie side by side
// under the names that they were given (gguf/split.h). Errors are one line: "model.gguf: tensor 'x': …".
Result<File> open(const std::string& path);
// The same from a mapping, which the File keeps; its path stands in messages. A part of a split model is an
// error.
Result<File> open(std::shared_ptr<const MappedFile> mapping);

// Parses bytes that the caller keeps alive; `name` stands in for the path in messages. A part of a split
// model is an error.
Result<File> parse(std::span<const std::byte> bytes, std::string_view name);
// The same for one file by itself, which may be a part: join() puts parts together.
Result<File> parse_part(std::span<const std::byte> bytes, std::string_view name);

}  // namespace carat::gguf
