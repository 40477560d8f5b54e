// Files: read-only mappings for models, and outputs that appear whole or not at all.
#pragma once

#include <sys/types.h>

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
  // Never waits. Errors: missing, no regular file (a directory, a pipe), not readable, not mappable, or changing
  // its size meanwhile.
  static Result<std::shared_ptr<const MappedFile>> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

  // For parts of the file: bytes() or a piece of it.
  //
  // Reads the pages of `range` into memory and this process, the system reading ahead of it; waits for them. A file
  // that cannot be read ends the process as any touch would.
  void read_in(std::span<const std::byte> range) const;
  // Takes the pages that lie wholly in `range` out of this process, and out of the system's cache unless somebody else
  // has them mapped: what is streamed then never pushes out what is to stay. They come back when touched.
  void drop(std::span<const std::byte> range) const;
  // Announces reads all over `range`, in no order: each touch reads its own page and no more.
  void expect_scattered_reads(std::span<const std::byte> range) const;
  // Asks for the pages of `range` without waiting for them.
  void ask_for(std::span<const std::byte> range) const;

  // Takes the pages touched so far out of this process; they come back, from the system's cache where it has them,
  // when they are touched again. For measuring what a job touches.
  void release_pages() const;

 private:
  friend class OutputFile;
  static Result<std::shared_ptr<const MappedFile>> map(int descriptor, const std::string& path);
  MappedFile() = default;
  std::string path_;
  int descriptor_ = -1;  // kept open for drop()
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// A mapped file that another program makes shorter, or whose disk fails, ends the process at the next touch
// (SIGBUS). This makes it end with one line on stderr and exit code 2. Call it once, in main().
void explain_lost_mappings();

// A file written beside its final name and renamed over it by commit(). Dropped without commit(), or killed at
// any moment, it leaves the old file (or none) in place: where the system can, the data has no name at all until
// commit(), and elsewhere a hidden one in the same folder (".carat-….tmp"), which only a kill leaves behind.
// A symbolic link stays, its target is replaced. A file that exists must be writable and keeps its permissions.
// What is no file (a device, a pipe: /dev/null, /dev/stdout) is written in place.
class OutputFile {
 public:
  enum class Naming {
    Late,   // at commit(), where the system can
    Early,  // from the beginning: what is done where it cannot; for tests
  };

  // Errors: an empty name, a directory, a folder that is missing or not writable, a file that is not writable, a
  // link that leads nowhere.
  static Result<OutputFile> create(const std::string& path, Naming naming = Naming::Late);
  ~OutputFile();
  OutputFile(OutputFile&&) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;

  // Appends. Errors (disk full, I/O) name the file; after one, commit() must not be called (CHECKed).
  Result<void> write(std::span<const std::byte> bytes);
  Result<void> write(std::string_view text);
  uint64_t size() const { return size_; }

  // Flushes to disk, gives the data its name, and flushes the folder. Called at most once. Errors: whatever the
  // disk still had to say. Only where the last step fails, and the error says so, is the new file in place.
  Result<void> commit();

  // A file that never has a name, in the folder for temporary files ($TMPDIR, /tmp): it is gone with the process,
  // however that ends. `label` stands for the path in messages. map() takes the place of commit().
  static Result<OutputFile> create_temporary(const std::string& label);
  Result<std::shared_ptr<const MappedFile>> map();

  const std::string& path() const { return path_; }

 private:
  OutputFile() = default;
  Result<void> open_beside(Naming naming, mode_t mode);
  Result<void> open_named(mode_t mode);
  Result<void> give_name();
  Result<void> close();

  std::string path_;            // as given, for messages
  std::string target_;          // links resolved; empty: written in place
  std::string temporary_path_;  // empty while the data has no name
  int descriptor_ = -1;
  bool failed_ = false;
  uint64_t size_ = 0;
};

// Reads a whole (small) regular file: text, JSON, checkpoints. Errors as MappedFile::open(), and of reading.
Result<std::string> read_file(const std::string& path);
// Writes a whole file through OutputFile.
Result<void> write_file(const std::string& path, std::string_view content);

}  // namespace carat
