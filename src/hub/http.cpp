// libcurl's side of hub/http.h.
#include "hub/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <new>

#include <fmt/format.h>

#include "base/check.h"
#include "base/progress.h"

namespace carat::hub {
namespace {

constexpr int kMaxRedirects = 5;
constexpr size_t kMaxHeaderBytes = 8192;

// All that anybody asks for.
constexpr std::string_view kKeptHeaders[] = {"content-range", "content-length", "etag",
                                             "link",          "retry-after",    "x-linked-etag",
                                             "x-linked-size", "x-repo-commit"};

std::string trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(kBlank) + 1 - begin));
}

// The parts of an address; empty parts: no address.
struct Origin {
  std::string scheme, host, port;
  bool has_password = false;
  bool operator==(const Origin&) const = default;
  bool is_web() const { return (scheme == "http" || scheme == "https") && !host.empty(); }
  bool is_this_machine() const { return host == "127.0.0.1" || host == "localhost" || host == "[::1]"; }
};

std::string part_of(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK || text == nullptr) return {};
  std::string result(text);
  curl_free(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return result;
}

Origin origin_of(const std::string& url) {
  CURLU* parsed = curl_url();
  CHECK(parsed != nullptr);
  Origin origin;
  if (curl_url_set(parsed, CURLUPART_URL, url.c_str(), 0) == CURLUE_OK) {
    origin = {part_of(parsed, CURLUPART_SCHEME), part_of(parsed, CURLUPART_HOST),
              part_of(parsed, CURLUPART_PORT, CURLU_DEFAULT_PORT),
              !part_of(parsed, CURLUPART_USER).empty() || !part_of(parsed, CURLUPART_PASSWORD).empty()};
  }
  curl_url_cleanup(parsed);
  return origin;
}

bool is_redirect(long status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

void initialize_curl() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  CHECK(code == CURLE_OK);
}

}  // namespace

const std::string* HttpReply::header(std::string_view name) const {
  const auto found = headers.find(std::string(name));
  return found == headers.end() ? nullptr : &found->second;
}

const std::string* HttpReply::home_header(std::string_view name) const {
  const auto found = home_headers.find(std::string(name));
  return found == home_headers.end() ? nullptr : &found->second;
}

bool HttpReply::may_retry() const {
  if (refused_by_sink) return false;
  if (!problem.empty()) return true;
  return status == 408 || status == 429 || status >= 500;
}

std::string HttpReply::description() const {
  if (!problem.empty()) return problem;
  return fmt::format("HTTP status {}", status);
}

struct HttpClient::Impl {
  CURL* curl;
  std::function<bool()> stop;
  HttpReply* reply = nullptr;  // of the call in progress
  const Sink* sink = nullptr;

  ~Impl() { curl_easy_cleanup(curl); }

  // Nothing may be thrown through libcurl: what there is no memory for ends the transfer.
  static size_t on_header(char* data, size_t size, size_t n, void* self) noexcept {
    try {
      static_cast<Impl*>(self)->take_header(std::string_view(data, size * n));
      return size * n;
    } catch (const std::bad_alloc&) {
      return 0;
    }
  }
  void take_header(std::string_view line) {
    if (line.starts_with("HTTP/")) reply->headers.clear();  // the next answer's (after 100 Continue)
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || line.size() > kMaxHeaderBytes) return;
    std::string name(line.substr(0, colon));
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (std::find(std::begin(kKeptHeaders), std::end(kKeptHeaders), name) != std::end(kKeptHeaders))
      reply->headers[name] = trimmed(line.substr(colon + 1));
  }

  static size_t on_body(char* data, size_t size, size_t n, void* self) noexcept {
    try {
      const auto bytes = std::as_bytes(std::span(data, size * n));
      return static_cast<Impl*>(self)->take_body(bytes) ? size * n : 0;
    } catch (const std::bad_alloc&) {
      return 0;
    }
  }
  bool take_body(std::span<const std::byte> bytes) {
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    reply->status = static_cast<int>(status);
    if (status < 200 || status >= 300) return true;  // an error page, or a redirect's
    if (!*sink || (*sink)(*reply, bytes)) return true;
    reply->refused_by_sink = true;
    return false;
  }

  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    const auto* impl = static_cast<Impl*>(self);
    return interrupted() || (impl->stop && impl->stop()) ? 1 : 0;
  }

  void ask(const HttpRequest& request, const std::string& url, bool with_token);
  std::string next_url() const {
    char* url = nullptr;
    curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &url);
    return url == nullptr ? std::string() : std::string(url);
  }
};

HttpClient::HttpClient(const Options& options, std::function<bool()> stop) : impl_(std::make_unique<Impl>()) {
  initialize_curl();
  impl_->curl = curl_easy_init();
  CHECK(impl_->curl != nullptr);
  impl_->stop = std::move(stop);
  CURL* curl = impl_->curl;
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "carat");
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, static_cast<long>(options.connect_timeout_s));
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, static_cast<long>(options.stall_timeout_s));
  curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 256L << 10);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &Impl::on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, impl_.get());
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &Impl::on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, impl_.get());
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, &Impl::on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, impl_.get());
}

HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient&&) noexcept = default;

// One request and its answer, no redirects.
void HttpClient::Impl::ask(const HttpRequest& request, const std::string& url, bool with_token) {
  curl_slist* lines = curl_slist_append(nullptr, "Accept-Encoding: identity");
  if (with_token) lines = curl_slist_append(lines, ("Authorization: Bearer " + request.token).c_str());
  std::array<char, CURL_ERROR_SIZE> words{};
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  // Plain http is for this machine alone: no proxy of the environment's gets to read it, and with it the token.
  curl_easy_setopt(curl, CURLOPT_PROXY, origin_of(url).is_this_machine() ? "" : nullptr);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, lines);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, words.data());
  if (request.head_only)
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  else
    curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
  const std::string range =
      request.first ? fmt::format("{}-{}", *request.first, *request.last) : std::string();
  curl_easy_setopt(curl, CURLOPT_RANGE, request.first ? range.c_str() : nullptr);
  const CURLcode code = curl_easy_perform(curl);
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  reply->status = static_cast<int>(status);
  if (code == CURLE_ABORTED_BY_CALLBACK)
    reply->problem = "interrupted";
  else if (code != CURLE_OK && !reply->refused_by_sink)
    reply->problem = words[0] != '\0' ? words.data() : curl_easy_strerror(code);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, nullptr);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, nullptr);
  curl_slist_free_all(lines);
}

HttpReply HttpClient::fetch(const HttpRequest& request, const Sink& sink) {
  CHECK(request.first.has_value() == request.last.has_value());
  HttpReply reply;
  impl_->reply = &reply;
  impl_->sink = &sink;
  const Origin home = origin_of(request.url);
  std::string url = request.url;
  for (int n_redirects = 0;; ++n_redirects) {
    const Origin here = origin_of(url);
    const bool is_home = here == home;
    reply.headers.clear();
    // Even at home: a token that anybody on the way can read is lost.
    const bool with_token =
        !request.token.empty() && is_home && (here.scheme == "https" || here.is_this_machine());
    impl_->ask(request, url, with_token);
    if (is_home)
      for (const auto& [name, value] : reply.headers) reply.home_headers[name] = value;
    if (!reply.problem.empty() || !is_redirect(reply.status)) break;
    url = impl_->next_url();
    const Origin next = origin_of(url);
    if (request.head_only && next != home) break;
    if (!next.is_web() || (here.scheme == "https" && next.scheme != "https")) {
      reply.problem = "the server leads to an address that is not safe";
      reply.refused_by_sink = true;
      break;
    }
    if (n_redirects == kMaxRedirects) {
      reply.problem =
          fmt::format("the server leads from one address to the next, more than {} times", kMaxRedirects);
      reply.refused_by_sink = true;
      break;
    }
  }
  impl_->reply = nullptr;
  impl_->sink = nullptr;
  return reply;
}

std::string url_escaped_name(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string url_escaped(std::string_view path) {
  std::string out;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    if (begin > 0) out += '/';
    out += url_escaped_name(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

bool is_same_origin(const std::string& a, const std::string& b) {
  const Origin origin = origin_of(a);
  return origin.is_web() && origin == origin_of(b);
}

bool is_web_address(const std::string& url) {
  const Origin origin = origin_of(url);
  return origin.is_web() && !origin.has_password;
}

}  // namespace carat::hub
