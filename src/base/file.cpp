// POSIX side of base/file.h.
#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace carat {
namespace {

Error system_error(std::string_view action, const std::string& path) {
  return fail("{}: cannot {}: {}", path, action, std::strerror(errno));
}

// Closes what it holds, unless it was released.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }
  int release() { return std::exchange(value_, -1); }

 private:
  int value_;
};

// A descriptor of a regular file, for reading. A pipe without a writer is refused, not waited for.
Result<int> open_regular(const std::string& path) {
  Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (descriptor.get() < 0) return system_error("open", path);
  struct stat status {};
  if (::fstat(descriptor.get(), &status) != 0 || !S_ISREG(status.st_mode))
    return fail("{}: not a regular file", path);
  return descriptor.release();
}

Result<size_t> size_of(int descriptor, const std::string& path) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) return system_error("read the size", path);
  return static_cast<size_t>(status.st_size);
}

std::string directory_of(const std::string& path) {
  const auto slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// A short name that nobody else has, in the folder of `path`: neither a long name nor a killed process with the
// same number can stand in its way.
std::string temporary_name(const std::string& path) {
  uint64_t random = 0;
  CHECK(::getrandom(&random, sizeof random, 0) == sizeof random);
  return fmt::format("{}/.carat-{:016x}.tmp", directory_of(path), random);
}

constexpr int kNamesTried = 100;

// The path that writing to `path` means: links followed, also one whose target does not exist yet.
Result<std::string> follow_links(const std::string& path) {
  constexpr int kMaxLinks = 40;  // as the kernel does
  std::string target = path;
  for (int i = 0; i < kMaxLinks; ++i) {
    char next[4096];
    const ssize_t length = ::readlink(target.c_str(), next, sizeof next);
    if (length < 0) return target;  // no link (or nothing there)
    if (length == sizeof next) break;
    const std::string_view link(next, static_cast<size_t>(length));
    target = link.starts_with('/') ? std::string(link) : fmt::format("{}/{}", directory_of(target), link);
  }
  return fail("{}: too many symbolic links", path);
}

bool can_be_named_later(int descriptor) {
  return ::access(fmt::format("/proc/self/fd/{}", descriptor).c_str(), F_OK) == 0;
}

// So that the new name outlives a power failure. Folders that cannot be opened or flushed are left to the system.
Result<void> flush_folder(const std::string& folder) {
  const Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.get() >= 0 && ::fsync(descriptor.get()) != 0 && errno != EINVAL)
    return fail("{}: cannot flush the folder, the new file is in place: {}", folder, std::strerror(errno));
  return {};
}

// MADV_POPULATE_READ, which older headers lack.
constexpr int kPopulateRead = 22;

size_t page_size() { return static_cast<size_t>(::sysconf(_SC_PAGESIZE)); }

struct Pages {
  std::byte* begin;
  size_t size;  // bytes
};

// The pages of a mapping (whose begin is one's) that hold any of `range`.
Pages pages_around(std::span<const std::byte> range, const std::byte* data, size_t size) {
  if (range.empty() || data == nullptr) return {nullptr, 0};
  CHECK(range.data() >= data && range.data() + range.size() <= data + size);
  const size_t page = page_size();
  const size_t begin = static_cast<size_t>(range.data() - data) / page * page;
  const size_t end = static_cast<size_t>(range.data() - data) + range.size();
  return {const_cast<std::byte*>(data) + begin, end - begin};
}

// Those that lie wholly in it; behind the end of the file nothing lies.
Pages pages_within(std::span<const std::byte> range, const std::byte* data, size_t size) {
  if (range.empty() || data == nullptr) return {nullptr, 0};
  CHECK(range.data() >= data && range.data() + range.size() <= data + size);
  const size_t page = page_size();
  const size_t from = static_cast<size_t>(range.data() - data), to = from + range.size();
  const size_t begin = (from + page - 1) / page * page, end = to == size ? to : to / page * page;
  if (begin >= end) return {nullptr, 0};
  return {const_cast<std::byte*>(data) + begin, end - begin};
}

extern "C" void on_lost_mapping(int) {
  constexpr std::string_view message = "carat: a mapped file was truncated or cannot be read while in use\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, message.data(), message.size());
  ::_exit(2);
}

}  // namespace

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::string& path) {
  const Descriptor descriptor(TRY(open_regular(path)));
  return map(descriptor.get(), path);
}

Result<std::shared_ptr<const MappedFile>> MappedFile::map(int descriptor, const std::string& path) {
  auto file = std::shared_ptr<MappedFile>(new MappedFile);
  file->path_ = path;
  file->size_ = TRY(size_of(descriptor, path));
  if (file->size_ > 0) {
    void* address = ::mmap(nullptr, file->size_, PROT_READ, MAP_SHARED, descriptor, 0);
    if (address == MAP_FAILED) return system_error("map", path);
    file->data_ = static_cast<const std::byte*>(address);
  }
  if (TRY(size_of(descriptor, path)) != file->size_)
    return fail("{}: changed while it was opened, expected {} bytes", path, file->size_);
  file->descriptor_ = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  if (file->descriptor_ < 0) return system_error("open", path);
  return std::shared_ptr<const MappedFile>(std::move(file));
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  if (descriptor_ >= 0) ::close(descriptor_);
}

void MappedFile::ask_for(std::span<const std::byte> range) const {
  const Pages pages = pages_around(range, data_, size_);
  if (pages.size > 0) ::madvise(pages.begin, pages.size, MADV_WILLNEED);
}

void MappedFile::read_in(std::span<const std::byte> range) const {
  constexpr size_t kSlice = size_t{8} << 20;
  const Pages pages = pages_around(range, data_, size_);
  for (size_t at = 0; at < pages.size; at += kSlice) {
    // One slice is under way while the one before it is waited for.
    const size_t ahead = at == 0 ? 0 : at + kSlice, end = std::min(pages.size, at + 2 * kSlice);
    if (ahead < end) ::madvise(pages.begin + ahead, end - ahead, MADV_WILLNEED);
    const size_t n = std::min(kSlice, pages.size - at);
    if (::madvise(pages.begin + at, n, kPopulateRead) == 0) continue;
    for (size_t byte = 0; byte < n; byte += page_size())  // a kernel older than 5.14
      (void)*reinterpret_cast<volatile const std::byte*>(pages.begin + at + byte);
  }
}

void MappedFile::drop(std::span<const std::byte> range) const {
  const Pages pages = pages_within(range, data_, size_);
  if (pages.size == 0) return;
  ::madvise(pages.begin, pages.size, MADV_DONTNEED);
  ::posix_fadvise(descriptor_, static_cast<off_t>(pages.begin - data_), static_cast<off_t>(pages.size),
                  POSIX_FADV_DONTNEED);
}

void MappedFile::expect_scattered_reads(std::span<const std::byte> range) const {
  const Pages pages = pages_within(range, data_, size_);
  if (pages.size > 0) ::madvise(pages.begin, pages.size, MADV_RANDOM);
}

void MappedFile::release_pages() const {
  if (data_ != nullptr) ::madvise(const_cast<std::byte*>(data_), size_, MADV_DONTNEED);
}

void explain_lost_mappings() {
  struct sigaction action {};
  action.sa_handler = on_lost_mapping;
  ::sigemptyset(&action.sa_mask);
  CHECK(::sigaction(SIGBUS, &action, nullptr) == 0);
}

Result<OutputFile> OutputFile::create(const std::string& path, Naming naming) {
  if (path.empty()) return fail("output file: the name is empty");
  struct stat status {};
  const bool exists = ::stat(path.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) return fail("{}: is a directory, expected a file name", path);
  OutputFile file;
  file.path_ = path;
  // Renaming over a device or a pipe would replace it.
  if (exists && !S_ISREG(status.st_mode)) {
    file.descriptor_ = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (file.descriptor_ < 0) return system_error("write", path);
    return file;
  }
  if (exists && ::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) != 0) return system_error("write", path);
  file.target_ = TRY(follow_links(path));
  TRY(file.open_beside(naming, 0644));
  if (exists && ::fchmod(file.descriptor_, status.st_mode & 07777) != 0)
    return system_error("set the permissions", path);
  return file;
}

Result<void> OutputFile::open_beside(Naming naming, mode_t mode) {
  if (naming == Naming::Late) {
    descriptor_ = ::open(directory_of(target_).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
    if (descriptor_ >= 0 && can_be_named_later(descriptor_)) return {};
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }
  return open_named(mode);
}

Result<void> OutputFile::open_named(mode_t mode) {
  for (int i = 0; i < kNamesTried; ++i) {
    const std::string name = temporary_name(target_);
    descriptor_ = ::open(name.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode);
    if (descriptor_ >= 0) {
      temporary_path_ = name;
      return {};
    }
    if (errno != EEXIST) break;
  }
  return system_error("create", path_);
}

Result<OutputFile> OutputFile::create_temporary(const std::string& label) {
  const char* folder = std::getenv("TMPDIR");
  if (folder == nullptr || *folder == '\0') folder = "/tmp";
  OutputFile file;
  file.path_ = label;
  file.descriptor_ = ::open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (file.descriptor_ >= 0) return file;
  // A file system that cannot do without a name: it has one for a moment.
  std::string name = fmt::format("{}/carat-XXXXXX", folder);
  file.descriptor_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (file.descriptor_ < 0) return system_error("create a temporary file in", folder);
  ::unlink(name.c_str());
  return file;
}

Result<std::shared_ptr<const MappedFile>> OutputFile::map() {
  CHECK(descriptor_ >= 0);
  return MappedFile::map(descriptor_, path_);
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      target_(std::move(other.target_)),
      temporary_path_(std::exchange(other.temporary_path_, {})),
      descriptor_(std::exchange(other.descriptor_, -1)),
      failed_(other.failed_),
      size_(other.size_) {}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_path_.empty()) ::unlink(temporary_path_.c_str());
}

Result<void> OutputFile::write(std::span<const std::byte> bytes) {
  CHECK(descriptor_ >= 0);
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      failed_ = true;
      return system_error("write", path_);
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
    size_ += static_cast<uint64_t>(written);
  }
  return {};
}

Result<void> OutputFile::write(std::string_view text) {
  return write(std::as_bytes(std::span(text.data(), text.size())));
}

// Some file systems tell of a full disk only here.
Result<void> OutputFile::close() {
  if (::close(std::exchange(descriptor_, -1)) != 0 && errno != EINTR) return system_error("write", path_);
  return {};
}

// An unnamed file can be linked only to a free name, so it takes one beside the target before it is renamed.
Result<void> OutputFile::give_name() {
  const std::string self = fmt::format("/proc/self/fd/{}", descriptor_);
  for (int i = 0; i < kNamesTried; ++i) {
    const std::string name = temporary_name(target_);
    if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      temporary_path_ = name;
      return {};
    }
    if (errno != EEXIST) break;
  }
  return system_error("name", path_);
}

Result<void> OutputFile::commit() {
  CHECK(descriptor_ >= 0 && !failed_);
  if (target_.empty()) return close();
  if (::fsync(descriptor_) != 0 && errno != EINVAL) return system_error("flush", path_);
  if (temporary_path_.empty()) TRY(give_name());
  TRY(close());
  if (::rename(temporary_path_.c_str(), target_.c_str()) != 0) return system_error("rename", path_);
  temporary_path_.clear();
  return flush_folder(directory_of(target_));
}

Result<std::string> read_file(const std::string& path) {
  const Descriptor descriptor(TRY(open_regular(path)));
  std::string content(TRY(size_of(descriptor.get(), path)) + 1, '\0');  // one more byte to see the end
  for (size_t n = 0;;) {
    const ssize_t n_read = ::read(descriptor.get(), content.data() + n, content.size() - n);
    if (n_read < 0 && errno == EINTR) continue;
    if (n_read < 0) return system_error("read", path);
    n += static_cast<size_t>(n_read);
    if (n_read == 0) {
      content.resize(n);
      return content;
    }
    if (n == content.size()) content.resize(2 * n);  // it grows, or has no size (/proc)
  }
}

Result<void> write_file(const std::string& path, std::string_view content) {
  auto file = TRY(OutputFile::create(path));
  TRY(file.write(content));
  return file.commit();
}

}  // namespace carat
