// Workers take chunks; what all of them share stands under one lock.
#include "hub/download.h"

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/sha256.h"
#include "hub/name.h"
#include "hub/partial.h"

namespace carat::hub {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kMaxRetryAfter{60'000};
constexpr uint64_t kSaveBytes = uint64_t{64} << 20;  // the state is written that often

std::optional<uint64_t> parse_number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "bytes 0-99/1234"
struct ContentRange {
  uint64_t first, last, total;
};
std::optional<ContentRange> parse_content_range(const std::string* text) {
  if (text == nullptr || !text->starts_with("bytes ")) return std::nullopt;
  const std::string_view rest = std::string_view(*text).substr(6);
  const size_t dash = rest.find('-'), slash = rest.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || dash > slash) return std::nullopt;
  const auto first = parse_number(rest.substr(0, dash)),
             last = parse_number(rest.substr(dash + 1, slash - dash - 1)),
             total = parse_number(rest.substr(slash + 1));
  if (!first || !last || !total) return std::nullopt;
  return ContentRange{*first, *last, *total};
}

milliseconds pause_after(const HttpReply& reply, int try_number, const DownloadOptions& options) {
  milliseconds pause = options.first_pause * (1 << std::min(try_number, 16));
  pause = std::min(pause, options.max_pause);
  if (const std::string* seconds = reply.header("retry-after"))
    if (const auto value = parse_number(*seconds))
      pause =
          std::max(pause, std::min(kMaxRetryAfter, milliseconds(1000 * std::min<uint64_t>(*value, 1000))));
  return pause;
}

class Downloader {
 public:
  Downloader(const DownloadSource& source, PartialFile& file, const DownloadOptions& options,
             const Progress& progress)
      : source_(source),
        file_(file),
        options_(options),
        progress_(progress),
        done_(file.state().total_done()) {}

  Result<void> run() {
    for (size_t i = 0; i < file_.state().done.size(); ++i)
      if (file_.state().done[i] < file_.state().chunk_size(i)) chunks_.push_back(i);
    std::reverse(chunks_.begin(), chunks_.end());  // taken from the back
    const auto n = std::min(static_cast<size_t>(std::max(options_.n_connections, 1)), chunks_.size());
    work(n);
    if (!error_ && !interrupted() && ignores_ranges_) {
      if (auto restarted = file_.forget(); !restarted) return restarted;
      done_ = 0;
      error_.reset();
      work_in_one_go();
    }
    // However it ended, what has arrived counts the next time.
    if (auto saved = file_.save(); !saved && !error_) error_ = saved.take_error();
    if (error_) return *error_;
    if (interrupted())
      return fail("{}: interrupted with {:.0f} % there; the same command goes on from here", source_.name,
                  source_.n_bytes > 0
                      ? 100.0 * static_cast<double>(done_) / static_cast<double>(source_.n_bytes)
                      : 0.0);
    return {};
  }

 private:
  bool must_stop() {
    const std::lock_guard lock(mutex_);
    return error_.has_value() || ignores_ranges_ || interrupted();
  }
  void fail_with(Error error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
    changed_.notify_all();
  }

  // Workers beside this thread, which speaks to the user.
  void work(size_t n_workers) {
    std::vector<std::jthread> workers;
    n_running_ = n_workers;
    for (size_t i = 0; i < n_workers; ++i)
      workers.emplace_back([this] {
        take_chunks();
        const std::lock_guard lock(mutex_);
        --n_running_;
        changed_.notify_all();
      });
    watch();
  }

  void work_in_one_go() {
    n_running_ = 1;
    const std::jthread worker([this] {
      take_all();
      const std::lock_guard lock(mutex_);
      --n_running_;
      changed_.notify_all();
    });
    watch();
  }

  void watch() {
    std::unique_lock lock(mutex_);
    uint64_t saved = done_;
    while (n_running_ > 0) {
      changed_.wait_for(lock, milliseconds(100));
      if (progress_) progress_(done_, source_.n_bytes, source_.name);
      if (done_ < saved + kSaveBytes) continue;
      saved = done_;
      if (auto result = file_.save(); !result && !error_) error_ = result.take_error();
    }
  }

  std::optional<size_t> next_chunk() {
    const std::lock_guard lock(mutex_);
    if (chunks_.empty() || error_ || ignores_ranges_ || interrupted()) return std::nullopt;
    const size_t chunk = chunks_.back();
    chunks_.pop_back();
    return chunk;
  }

  void take_chunks() {
    HttpClient client(options_.http, [this] { return must_stop(); });
    while (const auto chunk = next_chunk())
      if (!take_chunk(client, *chunk)) return;
  }

  // False: there is nothing more to do for anybody.
  bool take_chunk(HttpClient& client, size_t chunk) {
    const uint64_t size = file_.state().chunk_size(chunk),
                   begin = static_cast<uint64_t>(chunk) * file_.state().chunk_bytes;
    for (int n_failures = 0;;) {
      uint64_t done = file_.state().done[chunk];  // this worker's alone
      if (done == size) return true;
      HttpRequest request{source_.url, source_.token, begin + done, begin + size - 1, false};
      const uint64_t before = done;
      const HttpReply reply =
          client.fetch(request, [&](const HttpReply& answer, std::span<const std::byte> bytes) {
            return check_range(answer, begin + before) && store(chunk, done, size, bytes);
          });
      if (must_stop()) return false;
      if (done > before) n_failures = 0;
      if (done == size) continue;
      if (reply.ok() && done > before) continue;  // a server that gives less at once than it is asked for
      if (reply.status == 416) {
        fail_with(
            fail("{}: the server has fewer than the {} bytes of the list; it may have changed, try again",
                 source_.name, source_.n_bytes));
        return false;
      }
      // A 2xx answer that ended early, or one that brought nothing, is as good as a cut one.
      if (!wait_for_retry(reply, n_failures++)) return false;
    }
  }

  // Whether a body may be taken for the range that was asked for.
  bool check_range(const HttpReply& answer, uint64_t first) {
    if (answer.status == 200) {
      // A page that asks for a login, say: counts as a cut answer and is tried again.
      if (const std::string* n = answer.header("content-length"); n != nullptr && *n != std::to_string(source_.n_bytes))
        return false;
      if (first == 0 && source_.n_bytes <= file_.state().chunk_bytes) return true;  // all of it was asked for
      const std::lock_guard lock(mutex_);
      ignores_ranges_ = true;
      return false;
    }
    const auto range = parse_content_range(answer.header("content-range"));
    if (answer.status != 206 || !range) {
      fail_with(
          fail("{}: the server's answer to a range is none (HTTP status {})", source_.name, answer.status));
      return false;
    }
    if (range->first == first && range->total == source_.n_bytes) return true;
    fail_with(
        fail("{}: the server sends byte {} of {}, expected byte {} of {}; it may have changed, try again",
             source_.name, range->first, range->total, first, source_.n_bytes));
    return false;
  }

  bool store(size_t chunk, uint64_t& done, uint64_t size, std::span<const std::byte> bytes) {
    if (bytes.size() > size - done) {
      fail_with(fail("{}: the server sends more than it was asked for", source_.name));
      return false;
    }
    if (auto written = file_.write(chunk, done, bytes); !written) {
      fail_with(written.take_error());
      return false;
    }
    done += bytes.size();
    const std::lock_guard lock(mutex_);
    file_.record(chunk, done);
    done_ += bytes.size();
    return true;
  }

  // From a server that knows no ranges: everything again after each cut.
  void take_all() {
    HttpClient client(options_.http, [this] {
      const std::lock_guard lock(mutex_);
      return error_.has_value() || interrupted();
    });
    for (int n_failures = 0;; ++n_failures) {
      uint64_t done = 0;
      const HttpReply reply = client.fetch(
          {source_.url, source_.token, {}, {}, false},
          [&](const HttpReply&, std::span<const std::byte> bytes) { return append(done, bytes); });
      if (done == source_.n_bytes || interrupted()) return;
      {
        const std::lock_guard lock(mutex_);
        if (error_) return;
        done_ = 0;
        for (size_t i = 0; i < file_.state().done.size(); ++i) file_.record(i, 0);
      }
      if (!wait_for_retry(reply, n_failures)) return;
    }
  }

  bool append(uint64_t& at, std::span<const std::byte> bytes) {
    if (bytes.size() > source_.n_bytes - at) {
      fail_with(
          fail("{}: the server sends more than the {} bytes of the list", source_.name, source_.n_bytes));
      return false;
    }
    while (!bytes.empty()) {
      const auto chunk = static_cast<size_t>(at / file_.state().chunk_bytes);
      uint64_t done = at % file_.state().chunk_bytes;
      const uint64_t size = file_.state().chunk_size(chunk);
      const auto n = static_cast<size_t>(std::min<uint64_t>(bytes.size(), size - done));
      if (!store(chunk, done, size, bytes.first(n))) return false;
      bytes = bytes.subspan(n);
      at += n;
    }
    return true;
  }

  // False: not worth it, and said why.
  bool wait_for_retry(const HttpReply& reply, int n_failures) {
    const bool cut = reply.ok();  // whole as far as HTTP goes, but not all of it
    if (!cut && !reply.may_retry()) {
      fail_with(refusal(reply, source_.name, {}));
      return false;
    }
    if (n_failures + 1 >= options_.n_tries) {
      fail_with(fail("{}: {} after {} tries; the same command goes on from here", source_.name,
                     cut ? "the server sends too little" : printable(reply.description()), options_.n_tries));
      return false;
    }
    const auto until = std::chrono::steady_clock::now() + pause_after(reply, n_failures, options_);
    while (std::chrono::steady_clock::now() < until) {
      std::unique_lock lock(mutex_);
      if (error_ || interrupted()) return false;
      changed_.wait_for(lock, milliseconds(50));
    }
    return true;
  }

  const DownloadSource& source_;
  PartialFile& file_;
  const DownloadOptions& options_;
  const Progress& progress_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<size_t> chunks_;  // that nobody has taken
  uint64_t done_;
  size_t n_running_ = 0;
  bool ignores_ranges_ = false;
  std::optional<Error> error_;
};

// Nothing: interrupted.
Result<std::optional<std::string>> hash_of(const std::string& path, const DownloadSource& source,
                                           const Progress& progress) {
  const auto mapping = TRY(MappedFile::open(path));
  if (source.blob.size() != 40) return sha256_hex(mapping->bytes(), progress);
  Digest digest(Digest::Algorithm::Sha1);
  digest.update(fmt::format("blob {}", source.n_bytes));
  digest.update(std::string_view("\0", 1));
  digest.update(mapping->bytes());
  return std::optional(digest.hex());
}

}  // namespace

bool pause(const HttpReply& reply, int n_failures, const DownloadOptions& options) {
  const auto until = std::chrono::steady_clock::now() + pause_after(reply, n_failures, options);
  while (!interrupted()) {
    const auto left = until - std::chrono::steady_clock::now();
    if (left <= left.zero()) return true;
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(left, milliseconds(50)));
  }
  return false;
}

Error refusal(const HttpReply& reply, const std::string& name, const std::string& repo_page) {
  const std::string where = repo_page.empty() ? "" : fmt::format(" at {}", repo_page);
  switch (reply.problem.empty() ? reply.status : 0) {
    case 401:  // also what the hub says of a repository that does not exist
      return fail(
          "{}: no such model, or one that asks for a login (HTTP status 401): check its name, or accept its "
          "terms{} and set HF_TOKEN",
          name, where);
    case 403:
      return fail("{}: no access (HTTP status 403): accept the model's terms{} and set HF_TOKEN", name,
                  where);
    case 404:
      return fail("{}: not found (HTTP status 404); is it spelt right, and not private?", name);
    default:
      return fail("{}: {}", name, printable(reply.description()));
  }
}

Result<void> download(const DownloadSource& source, const std::string& path, const DownloadOptions& options,
                      const Progress& progress) {
  auto file = TRY(PartialFile::open(path, source.blob, source.n_bytes, options.chunk_bytes));
  if (auto result = Downloader(source, file, options, progress).run(); !result) {
    if (file.state().total_done() == 0) file.remove();  // nothing to go on with
    return result.take_error();
  }
  const auto hash = TRY(hash_of(file.path(), source, progress));
  if (!hash) return fail("{}: interrupted; the same command goes on from here", source.name);
  if (*hash != source.blob) {
    file.remove();
    return fail("{}: the content is not what was published (hash {}, expected {}); it was removed, try again",
                source.name, *hash, source.blob);
  }
  return file.finish(path);
}

}  // namespace carat::hub
