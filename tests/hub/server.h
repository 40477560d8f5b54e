// A server on 127.0.0.1 for tests: real sockets and real HTTP/1.1, but every byte of an answer is the test's,
// so that it can lie, stall and hang up.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace carat::hub {

struct Incoming {
  std::string method, path;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

// One connection, one answer.
class Answer {
 public:
  explicit Answer(int socket) : socket_(socket) {}
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  // A whole answer; Content-Length is the body's unless `headers` has one.
  void reply(int status, const std::string& headers, std::string_view body, bool with_body = true) {
    std::string head = "HTTP/1.1 " + std::to_string(status) + " x\r\nConnection: close\r\n" + headers;
    if (headers.find("Content-Length") == std::string::npos)
      head += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    send(head + "\r\n");
    if (with_body) send(body);
  }

 private:
  int socket_;
};

class Server {
 public:
  using Handler = std::function<void(const Incoming&, Answer&)>;

  explicit Server(Handler handler) : handler_(std::move(handler)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      std::abort();
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~Server() {
    stopping_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    ::close(listener_);
    for (std::thread& thread : threads_) thread.join();
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  bool stopping() const { return stopping_; }
  std::vector<Incoming> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void accept_all() {
    for (;;) {
      const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (stopping_ || socket < 0) {
        if (socket >= 0) ::close(socket);
        return;
      }
      threads_.emplace_back([this, socket] {
        Incoming incoming;
        if (read_request(socket, incoming)) {
          {
            const std::lock_guard lock(mutex_);
            requests_.push_back(incoming);
          }
          Answer answer(socket);
          handler_(incoming, answer);
        }
        ::shutdown(socket, SHUT_WR);
        char rest[256];
        while (::recv(socket, rest, sizeof rest, 0) > 0) {
        }
        ::close(socket);
      });
    }
  }

  static bool read_request(int socket, Incoming& incoming) {
    std::string text;
    while (text.find("\r\n\r\n") == std::string::npos) {
      char buffer[4096];
      const ssize_t n = ::recv(socket, buffer, sizeof buffer, 0);
      if (n <= 0) return false;
      text.append(buffer, static_cast<size_t>(n));
    }
    size_t at = text.find("\r\n");
    const std::string line = text.substr(0, at);
    incoming.method = line.substr(0, line.find(' '));
    incoming.path = line.substr(line.find(' ') + 1, line.rfind(' ') - line.find(' ') - 1);
    for (at += 2; text.compare(at, 2, "\r\n") != 0;) {
      const size_t end = text.find("\r\n", at);
      std::string name = text.substr(at, text.find(':', at) - at);
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      incoming.headers[name] = text.substr(text.find(':', at) + 2, end - text.find(':', at) - 2);
      at = end + 2;
    }
    return true;
  }

  Handler handler_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  std::thread acceptor_;
  std::vector<std::thread> threads_;  // the acceptor's until it ends
  std::mutex mutex_;
  std::vector<Incoming> requests_;
};

}  // namespace carat::hub
