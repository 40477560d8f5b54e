// Files: read-only mappings for models, and outputs that appear whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace carat {

// A whole file mapped read-only and shared: resident memory is only the pages touched.
class MappedFile {
 public:
  // Errors: missing, a directory, not readable, or not mappable.
  static Result<std::shared_ptr<const MappedFile>> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

  // Takes the pages touched so far out of this process; they come back, from the system's cache where it has them,
  // when they are touched again. For measuring what a job touches.
  void release_pages() const;

 private:
  MappedFile() = default;
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// A file written beside its final name and renamed over it by commit(). Dropped without commit(), or killed at
// any moment, it leaves the old file (or none) in place: where the file system can, the data has no name at all
// until commit().
class OutputFile {
 public:
  static Result<OutputFile> create(const std::string& path);
  ~OutputFile();
  OutputFile(OutputFile&&) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;

  // Appends. Errors (disk full, I/O) name the file; after one, commit() must not be called.
  Result<void> write(std::span<const std::byte> bytes);
  Result<void> write(std::string_view text);
  uint64_t size() const { return size_; }

  // Flushes to disk and gives the data its name.
  Result<void> commit();

 private:
  OutputFile() = default;
  std::string path_;
  std::string temporary_path_;  // empty while the data has no name
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

// Reads a whole (small) file: text, JSON, checkpoints.
Result<std::string> read_file(const std::string& path);
// Writes a whole file through OutputFile.
Result<void> write_file(const std::string& path, std::string_view content);

}  // namespace carat
