// The hub's addresses and what its answers must say.
#include "hub/hub.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/file.h"

namespace carat::hub {
namespace {

constexpr int kMaxPages = 100;

// One lock per content, as the other tools of the cache hold it. Released with the process, however that
// ends.
class Lock {
 public:
  static Result<Lock> take(const std::string& path, const std::string& name) {
    Lock lock;
    lock.descriptor_ = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    if (lock.descriptor_ < 0) return fail("{}: cannot create: {}", path, std::strerror(errno));
    if (::flock(lock.descriptor_, LOCK_EX | LOCK_NB) == 0) return lock;
    if (errno == EWOULDBLOCK)
      return fail("{}: another program is getting it just now (it holds {}): wait for it, or end it", name,
                  path);
    return fail("{}: cannot lock: {}; choose another file system with HF_HUB_CACHE", path,
                std::strerror(errno));
  }
  ~Lock() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Lock(Lock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Lock& operator=(Lock&&) = delete;

 private:
  Lock() = default;
  int descriptor_ = -1;
};

bool has_size(const std::string& path, uint64_t n_bytes) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         static_cast<uint64_t>(status.st_size) == n_bytes;
}

// "W/\"abc\"" -> "abc"
std::string bare_tag(std::string_view tag) {
  if (tag.starts_with("W/")) tag.remove_prefix(2);
  if (tag.size() >= 2 && tag.front() == '"' && tag.back() == '"') tag = tag.substr(1, tag.size() - 2);
  return std::string(tag);
}

// Of `Link: <https://…>; rel="next"`; empty: there is none.
std::string next_link(const std::string* header) {
  if (header == nullptr || header->find("rel=\"next\"") == std::string::npos) return {};
  const size_t begin = header->find('<'), end = header->find('>');
  if (begin == std::string::npos || end == std::string::npos || end < begin) return {};
  return header->substr(begin + 1, end - begin - 1);
}

std::string first_line(const std::string& text) {
  const std::string line = text.substr(0, text.find_first_of("\r\n"));
  const size_t begin = line.find_first_not_of(" \t");
  return begin == std::string::npos ? "" : line.substr(begin, line.find_last_not_of(" \t") + 1 - begin);
}

std::string token_of_login() {
  auto path = environment_path("HF_TOKEN_PATH");
  if (!path)
    if (const auto home = home_of_tools()) path = *home + "/token";
  if (!path) return {};
  const auto text = read_file(*path);
  return text ? first_line(*text) : "";
}

}  // namespace

Result<HubOptions> HubOptions::from_environment() {
  HubOptions options;
  if (const auto endpoint = environment("HF_ENDPOINT")) options.endpoint = *endpoint;
  while (options.endpoint.ends_with('/')) options.endpoint.pop_back();
  if (!is_web_address(options.endpoint))
    return fail("HF_ENDPOINT: '{}': expected an address like https://huggingface.co",
                printable(options.endpoint));
  const auto token = environment("HF_TOKEN");
  options.token = token ? first_line(*token) : token_of_login();
  for (const char c : options.token)
    if (c <= 0x20 || c >= 0x7f) return fail("HF_TOKEN: holds characters that no token has");
  return options;
}

// A small answer, whole. Tried again as a download is.
Result<std::string> Hub::fetch_text(HttpClient& client, const std::string& url, const Repo& repo,
                                    std::string* next_page) const {
  const DownloadOptions& download = options_.download;
  for (int n_failures = 0;; ++n_failures) {
    std::string text;
    bool too_long = false;
    const HttpReply reply = client.fetch(
        {url, options_.token, {}, {}, false}, [&](const HttpReply&, std::span<const std::byte> bytes) {
          too_long = text.size() + bytes.size() > kMaxListingBytes;
          if (too_long) return false;
          text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
          return true;
        });
    if (too_long) return fail("{}: the list of files is longer than {} bytes", repo.id(), kMaxListingBytes);
    if (reply.ok()) {
      *next_page = next_link(reply.header("link"));
      return text;
    }
    if (interrupted()) return fail("{}: interrupted", repo.id());
    if (!reply.may_retry() || n_failures + 1 >= download.n_tries)
      return refusal(reply, repo.id(), page(repo));
    if (!pause(reply, n_failures, download)) return fail("{}: interrupted", repo.id());
  }
}

Result<std::vector<RemoteFile>> Hub::list(const Request& request) const {
  HttpClient client(options_.download.http);
  std::string url = fmt::format("{}/api/models/{}/tree/{}?recursive=true", options_.endpoint,
                                request.repo.id(), url_escaped_name(request.revision));
  std::vector<RemoteFile> files;
  for (int n_pages = 1; !url.empty(); ++n_pages) {
    if (n_pages > kMaxPages)
      return fail("{}: the list of files has more than {} pages", request.repo.id(), kMaxPages);
    std::string next_page;
    const std::string text = TRY(fetch_text(client, url, request.repo, &next_page));
    auto page_files = parse_listing(text);
    if (!page_files) return fail("{}: {}", request.repo.id(), page_files.error().message);
    files.insert(files.end(), page_files->begin(), page_files->end());
    if (files.size() > kMaxFiles) return fail("{}: more than {} files", request.repo.id(), kMaxFiles);
    if (!next_page.empty() && !is_same_origin(next_page, options_.endpoint))
      return fail("{}: the list of files goes on at another server", request.repo.id());
    url = next_page;
  }
  return files;
}

std::string Hub::resolve_url(const Request& request, std::string_view revision,
                             const RemoteFile& file) const {
  return fmt::format("{}/{}/resolve/{}/{}", options_.endpoint, request.repo.id(), url_escaped_name(revision),
                     url_escaped(file.path));
}

// Asks for the file's head: which commit the revision is now, and whether the file is still the one of the
// list.
Result<std::string> Hub::commit_of(const Request& request, const RemoteFile& file) const {
  HttpClient client(options_.download.http);
  const std::string name = request.repo.id() + "/" + file.path;
  HttpReply reply;
  for (int n_failures = 0;; ++n_failures) {
    reply = client.fetch({resolve_url(request, request.revision, file), options_.token, {}, {}, true}, {});
    if (reply.problem.empty() && reply.status >= 200 && reply.status < 400) break;
    if (interrupted()) return fail("{}: interrupted", name);
    if (!reply.may_retry() || n_failures + 1 >= options_.download.n_tries)
      return refusal(reply, name, page(request.repo));
    if (!pause(reply, n_failures, options_.download)) return fail("{}: interrupted", name);
  }
  const std::string* commit = reply.home_header("x-repo-commit");
  if (commit == nullptr || !is_commit(*commit))
    return fail("{}: the server does not say which commit this is (header X-Repo-Commit)", name);
  const std::string* tag = reply.home_header("x-linked-etag");
  if (tag == nullptr) tag = reply.home_header("etag");
  const std::string* size = reply.home_header("x-linked-size");
  if ((tag != nullptr && bare_tag(*tag) != file.blob) ||
      (size != nullptr && *size != std::to_string(file.n_bytes)))
    return fail("{}: it changed on the server while it was looked at; try again", name);
  return *commit;
}

Result<Pulled> Hub::pull(const Request& request, const RemoteFile& file, const Progress& progress) const {
  const std::string commit = TRY(commit_of(request, file));
  Pulled pulled{cache_.snapshot_path(request.repo, commit, file.path), file.n_bytes, file.blob, true, commit};
  // Also where some tools keep the file itself, since the file system has no links. Then there is nothing to
  // write but what the revision is now, and who may only read the cache does without.
  if (has_size(pulled.path, file.n_bytes)) {
    (void)cache_.write_ref(request, commit);
    return pulled;
  }
  TRY(cache_.make_folders(request.repo));
  const std::string blob = cache_.blob_path(request.repo, file.blob);
  if (!has_size(blob, file.n_bytes)) {
    const Lock lock = TRY(Lock::take(cache_.lock_path(request.repo, file.blob), file.path));
    if (!has_size(blob, file.n_bytes)) {  // still
      pulled.was_there = false;
      const DownloadSource source{resolve_url(request, commit, file), options_.token, file.path, file.blob,
                                  file.n_bytes};
      TRY(download(source, blob, options_.download, progress));
    }
  }
  TRY(cache_.link(request.repo, commit, file.path, file.blob));
  TRY(cache_.write_ref(request, commit));
  return pulled;
}

}  // namespace carat::hub
