// HTTP, as much of it as downloads need. libcurl stays behind this file. Replies are untrusted: only a few
// headers are kept, bodies go to a sink that may stop them, redirects are followed by our own rules: a token
// is sent to the host it was given for and to no other, and never unencrypted over a network.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace carat::hub {

struct HttpRequest {
  std::string url;
  std::string token;                    // empty: none
  std::optional<uint64_t> first, last;  // bytes asked for, both or none
  bool head_only = false;  // and redirects to other hosts are not followed: their place is the answer
};

struct HttpReply {
  int status = 0;       // 0: no answer
  std::string problem;  // of the network, in words; empty: the answer came whole
  bool refused_by_sink = false;
  std::map<std::string, std::string> headers;       // of the last answer; names in lower case
  std::map<std::string, std::string> home_headers;  // of the answers of the first host

  const std::string* header(std::string_view name) const;
  const std::string* home_header(std::string_view name) const;
  bool ok() const { return problem.empty() && status >= 200 && status < 300; }
  // Whether asking again may help.
  bool may_retry() const;
  std::string description() const;  // "HTTP status 503", "connection refused"
};

// Takes a piece of the body of a 2xx answer; its status and headers are known by then. False: stop.
using Sink = std::function<bool(const HttpReply& reply, std::span<const std::byte> bytes)>;

// One connection that is kept between calls. Not for two threads at once. Calls end early when interrupted
// (base/progress.h), or when `stop` (may be empty) says so, with a problem.
class HttpClient {
 public:
  struct Options {
    int connect_timeout_s = 20;
    int stall_timeout_s = 30;  // without a byte
  };
  explicit HttpClient(const Options& options, std::function<bool()> stop = {});
  ~HttpClient();
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) = delete;

  HttpReply fetch(const HttpRequest& request, const Sink& sink);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Bytes that stand for themselves and '/' stay, the others become %XX.
std::string url_escaped(std::string_view path);
// The same for a name that is one part of an address whatever it holds: '/' becomes %2F.
std::string url_escaped_name(std::string_view name);

// Same scheme, host and port. False for what is no address.
bool is_same_origin(const std::string& a, const std::string& b);

// http:// or https:// with a host and nothing that would be sent as a password.
bool is_web_address(const std::string& url);

}  // namespace carat::hub
