// POSIX side of base/file.h.
#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace carat {
namespace {

Error system_error(std::string_view action, const std::string& path) {
  return fail("{}: cannot {}: {}", path, action, std::strerror(errno));
}

std::string directory_of(const std::string& path) {
  const auto slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string temporary_name(const std::string& path) { return fmt::format("{}.{}.tmp", path, ::getpid()); }

}  // namespace

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return system_error("open", path);
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor);
    return fail("{}: not a regular file", path);
  }
  auto file = std::shared_ptr<MappedFile>(new MappedFile);
  file->path_ = path;
  file->size_ = static_cast<size_t>(status.st_size);
  if (file->size_ > 0) {
    void* address = ::mmap(nullptr, file->size_, PROT_READ, MAP_SHARED, descriptor, 0);
    if (address == MAP_FAILED) {
      const Error error = system_error("map", path);
      ::close(descriptor);
      return error;
    }
    file->data_ = static_cast<const std::byte*>(address);
  }
  ::close(descriptor);
  return std::shared_ptr<const MappedFile>(std::move(file));
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release_pages() const {
  if (data_ != nullptr) ::madvise(const_cast<std::byte*>(data_), size_, MADV_DONTNEED);
}

Result<OutputFile> OutputFile::create(const std::string& path) {
  if (path.empty()) return fail("output file: the name is empty");
  struct stat status {};
  const bool exists = ::stat(path.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) return fail("{}: is a directory, expected a file name", path);
  OutputFile file;
  file.path_ = path;
  // A device or a pipe (/dev/null, /dev/stdout) is written in place: renaming over it would replace it.
  if (exists && !S_ISREG(status.st_mode)) {
    file.descriptor_ = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (file.descriptor_ < 0) return system_error("write", path);
    file.temporary_path_ = path;
    return file;
  }
  file.descriptor_ = ::open(directory_of(path).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
  if (file.descriptor_ >= 0) return file;
  file.temporary_path_ = temporary_name(path);
  file.descriptor_ = ::open(file.temporary_path_.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
  if (file.descriptor_ < 0) return system_error("create", path);
  return file;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_path_(std::exchange(other.temporary_path_, {})),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_) {}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  if (!temporary_path_.empty() && temporary_path_ != path_) ::unlink(temporary_path_.c_str());
}

Result<void> OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error("write", path_);
    bytes = bytes.subspan(static_cast<size_t>(written));
    size_ += static_cast<uint64_t>(written);
  }
  return {};
}

Result<void> OutputFile::write(std::string_view text) {
  return write(std::as_bytes(std::span(text.data(), text.size())));
}

Result<void> OutputFile::commit() {
  CHECK(descriptor_ >= 0);
  if (temporary_path_ == path_) {  // a device: nothing to rename
    ::close(std::exchange(descriptor_, -1));
    return {};
  }
  if (::fsync(descriptor_) != 0 && errno != EINVAL) return system_error("flush", path_);
  if (temporary_path_.empty()) {
    // An unnamed file can be linked only to a free name, so it takes one beside the target first.
    const std::string name = temporary_name(path_);
    const std::string self = fmt::format("/proc/self/fd/{}", descriptor_);
    ::unlink(name.c_str());
    if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) != 0)
      return system_error("name", path_);
    temporary_path_ = name;
  }
  if (::rename(temporary_path_.c_str(), path_.c_str()) != 0) return system_error("rename", path_);
  ::close(std::exchange(descriptor_, -1));
  return {};
}

Result<std::string> read_file(const std::string& path) {
  const auto mapped = TRY(MappedFile::open(path));
  const auto bytes = mapped->bytes();
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Result<void> write_file(const std::string& path, std::string_view content) {
  auto file = TRY(OutputFile::create(path));
  TRY(file.write(content));
  return file.commit();
}

}  // namespace carat
