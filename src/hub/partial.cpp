// POSIX side of hub/partial.h, and the state as text.
#include "hub/partial.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/check.h"
#include "base/file.h"

namespace carat::hub {
namespace {

constexpr std::string_view kMagic = "carat-partial 1";
constexpr size_t kMaxChunks = size_t{1} << 20;
constexpr uint64_t kMaxBytes = uint64_t{1} << 50;

Error system_error(std::string_view action, const std::string& path) {
  return fail("{}: cannot {}: {}", path, action, std::strerror(errno));
}

// Words and numbers of a text that nobody may have written.
class Words {
 public:
  explicit Words(std::string_view text) : text_(text) {}
  std::string_view line() { return take('\n'); }
  bool number(char separator, uint64_t& value) {
    const std::string_view word = take(separator);
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    return !word.empty() && error == std::errc{} && end == word.data() + word.size();
  }
  bool at_end() const { return text_.empty(); }

 private:
  std::string_view take(char separator) {
    const size_t end = text_.find(separator);
    if (end == std::string_view::npos) return std::exchange(text_, {}).substr(0, 0);  // unfinished: nothing
    const std::string_view word = text_.substr(0, end);
    text_.remove_prefix(end + 1);
    return word;
  }
  std::string_view text_;
};

uint64_t count_chunks(uint64_t n_bytes, uint64_t chunk_bytes) {
  return n_bytes / chunk_bytes + (n_bytes % chunk_bytes != 0 ? 1 : 0);
}

std::string gigabytes(uint64_t n) { return fmt::format("{:.2f} GB", static_cast<double>(n) / 1e9); }

}  // namespace

PartialState PartialState::start(std::string blob, uint64_t n_bytes, uint64_t chunk_bytes) {
  // However large the file, the state stays small.
  chunk_bytes = std::max({chunk_bytes, uint64_t{1}, n_bytes / (kMaxChunks / 2)});
  return {std::move(blob), n_bytes, chunk_bytes, std::vector<uint64_t>(count_chunks(n_bytes, chunk_bytes))};
}

uint64_t PartialState::chunk_size(size_t chunk) const {
  return std::min(chunk_bytes, n_bytes - static_cast<uint64_t>(chunk) * chunk_bytes);
}

uint64_t PartialState::total_done() const {
  uint64_t sum = 0;
  for (const uint64_t n : done) sum += n;
  return sum;
}

std::string to_text(const PartialState& state) {
  std::string text = fmt::format("{}\n{}\n{} {}\n", kMagic, state.blob, state.n_bytes, state.chunk_bytes);
  for (const uint64_t n : state.done) text += fmt::format("{}\n", n);
  return text;
}

std::optional<PartialState> parse_partial_state(std::string_view text) {
  Words words(text);
  if (words.line() != kMagic) return std::nullopt;
  PartialState state;
  state.blob = words.line();
  if (!words.number(' ', state.n_bytes) || !words.number('\n', state.chunk_bytes)) return std::nullopt;
  if (state.chunk_bytes == 0 || state.n_bytes > kMaxBytes) return std::nullopt;
  const uint64_t n_chunks = count_chunks(state.n_bytes, state.chunk_bytes);
  if (n_chunks > kMaxChunks || n_chunks > text.size()) return std::nullopt;
  for (size_t chunk = 0; chunk < n_chunks; ++chunk) {
    uint64_t done = 0;
    if (!words.number('\n', done) || done > state.chunk_size(chunk)) return std::nullopt;
    state.done.push_back(done);
  }
  return words.at_end() ? std::optional(std::move(state)) : std::nullopt;
}

Result<PartialFile> PartialFile::open(const std::string& base, const std::string& blob, uint64_t n_bytes,
                                      uint64_t chunk_bytes) {
  PartialFile file;
  file.data_path_ = base + ".carat-part";
  file.state_path_ = base + ".carat-state";
  file.descriptor_ = ::open(file.data_path_.c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (file.descriptor_ < 0) return system_error("create", file.data_path_);
  file.state_ = PartialState::start(blob, n_bytes, chunk_bytes);
  struct stat status {};
  const bool has_size =
      ::fstat(file.descriptor_, &status) == 0 && static_cast<uint64_t>(status.st_size) == n_bytes;
  if (has_size)
    if (const auto text = read_file(file.state_path_))
      if (auto state = parse_partial_state(*text); state && state->blob == blob && state->n_bytes == n_bytes)
        file.state_ = std::move(*state);
  const uint64_t missing = n_bytes - file.state_.total_done();
  // What an abandoned attempt holds is given back first.
  if (file.state_.total_done() == 0) {
    ::unlink(file.state_path_.c_str());  // before the data, of which it would go on to speak
    if (::ftruncate(file.descriptor_, 0) != 0) return system_error("empty", file.data_path_);
  }
  const auto room = free_disk_bytes(std::filesystem::path(base).parent_path().string());
  if (room && *room < missing) {
    if (file.state_.total_done() == 0) file.remove();
    return fail("{}: the disk has room for {}, {} are needed",
                std::filesystem::path(base).parent_path().string(), gigabytes(*room), gigabytes(missing));
  }
  if (::ftruncate(file.descriptor_, static_cast<off_t>(n_bytes)) != 0) {
    const Error error = system_error("make room in", file.data_path_);
    if (file.state_.total_done() == 0) file.remove();
    return error;
  }
  return file;
}

PartialFile::~PartialFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

PartialFile::PartialFile(PartialFile&& other) noexcept
    : data_path_(std::move(other.data_path_)),
      state_path_(std::move(other.state_path_)),
      state_(std::move(other.state_)),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

Result<void> PartialFile::write(size_t chunk, uint64_t offset_in_chunk,
                                std::span<const std::byte> bytes) const {
  CHECK(offset_in_chunk + bytes.size() <= state_.chunk_size(chunk));
  uint64_t at = static_cast<uint64_t>(chunk) * state_.chunk_bytes + offset_in_chunk;
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error("write", data_path_);
    at += static_cast<uint64_t>(written);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return {};
}

void PartialFile::record(size_t chunk, uint64_t done) {
  CHECK(done <= state_.chunk_size(chunk));
  state_.done[chunk] = done;
}

Result<void> PartialFile::save() const { return write_file(state_path_, to_text(state_)); }

Result<void> PartialFile::forget() {
  std::fill(state_.done.begin(), state_.done.end(), 0);
  return save();
}

Result<void> PartialFile::finish(const std::string& final_path) {
  if (::fsync(descriptor_) != 0 && errno != EINVAL) return system_error("flush", data_path_);
  if (::rename(data_path_.c_str(), final_path.c_str()) != 0) return system_error("rename", data_path_);
  ::unlink(state_path_.c_str());
  return {};
}

void PartialFile::remove() {
  ::unlink(data_path_.c_str());
  ::unlink(state_path_.c_str());
}

std::optional<uint64_t> free_disk_bytes(const std::string& folder) {
  struct statvfs status {};
  if (::statvfs(folder.c_str(), &status) != 0) return std::nullopt;
  return static_cast<uint64_t>(status.f_bavail) * status.f_frsize;
}

}  // namespace carat::hub
