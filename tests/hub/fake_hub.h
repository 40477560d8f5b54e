// A hub with one repository, lab/tiny, that behaves as the published one does, or in ways that a test
// chooses.
#pragma once

#include <atomic>
#include <deque>
#include <optional>

#include <fmt/format.h>

#include "base/sha256.h"
#include "hub/server.h"

namespace carat::hub {

inline constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";

class FakeHub {
 public:
  struct File {
    std::string path, content;
    bool in_git = false;  // small files
  };

  explicit FakeHub(std::vector<File> files)
      : files_(std::move(files)),
        server_([this](const Incoming& incoming, Answer& answer) { handle(incoming, answer); }) {}

  // What it does otherwise. Set before url() is asked for.
  std::optional<std::string> listing;  // instead of the true one
  std::string listing_headers;
  std::string elsewhere;  // contents are redirected to this address
  bool ignores_ranges = false;
  std::optional<uint64_t> claims_total;    // in Content-Range
  std::optional<std::string> claims_hash;  // in the listing and the head
  bool without_commit = false;
  bool needs_token = false;
  std::string revision = "main";                            // as addresses spell it
  std::string sends_content;                                // instead of the true one
  uint64_t sends_beyond = 0;                                // bytes more than asked for
  std::function<bool(const Incoming&, Answer&)> intercept;  // true: answered
  // Contents are cut after so many bytes of the body: one entry for each answer, then none. UINT64_MAX: not
  // at all.
  void cut_after(std::deque<uint64_t> bytes) {
    const std::lock_guard lock(mutex_);
    cuts_ = std::move(bytes);
  }
  // Statuses of the next content requests; 0: as usual.
  void answer_with(std::deque<int> statuses, std::string headers = "") {
    const std::lock_guard lock(mutex_);
    statuses_ = std::move(statuses);
    status_headers_ = std::move(headers);
  }

  std::string url() const {
    const std::lock_guard lock(mutex_);  // the server's thread takes it, too, and so sees what was set
    return server_.url();
  }
  Server& server() { return server_; }
  static std::string hash(const File& file) {
    if (!file.in_git) return sha256_hex(file.content);
    Digest digest(Digest::Algorithm::Sha1);
    digest.update(fmt::format("blob {}", file.content.size()));
    digest.update(std::string_view("\0", 1));
    digest.update(file.content);
    return digest.hex();
  }
  // Content requests, of those that were made.
  std::vector<Incoming> content_requests() {
    std::vector<Incoming> found;
    for (const Incoming& incoming : server_.requests())
      if (incoming.method == "GET" && incoming.path.find("/resolve/") != std::string::npos)
        found.push_back(incoming);
    return found;
  }

  // The content part of a server, also for a second one that the first leads to.
  void send_content(const Incoming& incoming, const std::string& content, Answer& answer) {
    uint64_t first = 0, last = content.size() - 1;
    const std::string range = incoming.header("range");
    const bool ranged = !ignores_ranges && range.starts_with("bytes=");
    if (ranged) {
      first = std::stoull(range.substr(6));
      last = std::min<uint64_t>(last, std::stoull(range.substr(range.find('-') + 1)));
    }
    std::string body = content.empty() ? "" : content.substr(first, last - first + 1);
    body += std::string(sends_beyond, 'x');
    const uint64_t cut = next_cut();
    const std::string headers = ranged ? fmt::format("Content-Range: bytes {}-{}/{}\r\n", first, last,
                                                     claims_total.value_or(content.size()))
                                       : "";
    if (cut >= body.size()) return answer.reply(ranged ? 206 : 200, headers, body);
    answer.reply(ranged ? 206 : 200, headers + fmt::format("Content-Length: {}\r\n", body.size()),
                 body.substr(0, cut));
  }

 private:
  const File* find(std::string_view path) const {
    path = path.substr(0, path.find('?'));
    for (const File& file : files_)
      if (path.ends_with("/" + file.path)) return &file;
    return nullptr;
  }
  uint64_t next_cut() {
    const std::lock_guard lock(mutex_);
    if (cuts_.empty()) return UINT64_MAX;
    const uint64_t cut = cuts_.front();
    cuts_.pop_front();
    return cut;
  }
  int next_status() {
    const std::lock_guard lock(mutex_);
    if (statuses_.empty()) return 0;
    const int status = statuses_.front();
    statuses_.pop_front();
    return status;
  }

  void handle(const Incoming& incoming, Answer& answer) {
    { const std::lock_guard lock(mutex_); }
    if (intercept && intercept(incoming, answer)) return;
    if (needs_token && incoming.header("authorization") != "Bearer hf_secret")
      return answer.reply(401, "", "no");
    if (incoming.path.starts_with("/api/models/lab/tiny/tree/" + revision))
      return answer.reply(200, listing_headers, listing.value_or(true_listing()));
    const File* file = find(incoming.path);
    if (file == nullptr || !incoming.path.starts_with("/lab/tiny/resolve/"))
      return answer.reply(404, "", "none");
    if (incoming.method == "HEAD") return send_head(*file, answer);
    if (const int status = next_status(); status != 0) return answer.reply(status, status_headers_, "later");
    if (!elsewhere.empty()) return answer.reply(302, "Location: " + elsewhere + "\r\n", "");
    send_content(incoming, sends_content.empty() ? file->content : sends_content, answer);
  }

  void send_head(const File& file, Answer& answer) {
    std::string headers = without_commit ? "" : fmt::format("X-Repo-Commit: {}\r\n", kCommit);
    const std::string tag = claims_hash.value_or(hash(file));
    headers += file.in_git ? fmt::format("ETag: \"{}\"\r\n", tag)
                           : fmt::format("ETag: \"xet\"\r\nX-Linked-Etag: \"{}\"\r\nX-Linked-Size: {}\r\n",
                                         tag, file.content.size());
    const bool leads_on = !elsewhere.empty();
    if (leads_on) headers += "Location: " + elsewhere + "\r\n";
    answer.reply(leads_on ? 302 : 200, headers + fmt::format("Content-Length: {}\r\n", file.content.size()),
                 "", false);
  }

  std::string true_listing() const {
    std::string json = R"([{"type":"directory","oid":"x","size":0,"path":"sub"})";
    for (const File& file : files_) {
      const std::string oid = claims_hash.value_or(hash(file));
      const std::string lfs =
          file.in_git
              ? ""
              : fmt::format(R"(,"lfs":{{"oid":"{}","size":{},"pointerSize":135}})", oid, file.content.size());
      json += fmt::format(R"(,{{"type":"file","oid":"{}","size":{},"path":"{}"{}}})",
                          file.in_git ? oid : std::string(40, 'a'), file.content.size(), file.path, lfs);
    }
    return json + "]";
  }

  std::vector<File> files_;
  mutable std::mutex mutex_;
  std::deque<uint64_t> cuts_;
  std::deque<int> statuses_;
  std::string status_headers_;
  Server server_;  // last: its threads use the others
};

// Bytes that are nowhere the same.
inline std::string made_up_content(size_t n, uint32_t seed) {
  std::string content(n, '\0');
  uint32_t state = seed * 2654435761u + 1;
  for (char& c : content) {
    state = state * 1664525u + 1013904223u;
    c = static_cast<char>(state >> 24);
  }
  return content;
}

}  // namespace carat::hub
