// A file that is not whole yet: the data in one file of the final size, and beside it a small state that says
// which bytes of it are there, so that a download can go on after anything short of losing the disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace carat::hub {

// What the state file says: the file is cut into chunks, and each has its first `done[i]` bytes.
struct PartialState {
  std::string blob;  // which content: the hash
  uint64_t n_bytes = 0, chunk_bytes = 0;
  std::vector<uint64_t> done;

  static PartialState start(std::string blob, uint64_t n_bytes, uint64_t chunk_bytes);
  uint64_t chunk_size(size_t chunk) const;  // the last one may be shorter
  uint64_t total_done() const;
  bool operator==(const PartialState&) const = default;
};

std::string to_text(const PartialState& state);
// Nothing: no such state, or one that contradicts itself. Safe on any bytes (fuzz/hub_partial.cpp).
std::optional<PartialState> parse_partial_state(std::string_view text);

// Files `base`.carat-part and `base`.carat-state. The names are Carat's own: other tools take a
// "….incomplete" for the beginning of a file, and this one has holes.
class PartialFile {
 public:
  // Goes on with what is there, if it is the same content and size; otherwise starts anew. Errors: the file
  // cannot be made, or the disk has no room for the bytes that are missing.
  static Result<PartialFile> open(const std::string& base, const std::string& blob, uint64_t n_bytes,
                                  uint64_t chunk_bytes);
  ~PartialFile();
  PartialFile(PartialFile&&) noexcept;
  PartialFile& operator=(PartialFile&&) = delete;

  const PartialState& state() const { return state_; }
  const std::string& path() const { return data_path_; }

  // Appends to a chunk. Different chunks may be written by different threads at once, each by one; save()
  // must not run at the same time as the bookkeeping of another: `record` does that, under the caller's lock.
  Result<void> write(size_t chunk, uint64_t offset_in_chunk, std::span<const std::byte> bytes) const;
  void record(size_t chunk, uint64_t done);

  Result<void> save() const;  // the state
  Result<void> forget();      // the state starts anew, the data counts as missing

  // Flushes, gives the data its final name and removes the state.
  Result<void> finish(const std::string& final_path);
  void remove();  // both files

 private:
  PartialFile() = default;
  std::string data_path_, state_path_;
  PartialState state_;
  int descriptor_ = -1;
};

// Bytes that a user may still write where `folder` lies; nothing: unknown.
std::optional<uint64_t> free_disk_bytes(const std::string& folder);

}  // namespace carat::hub
