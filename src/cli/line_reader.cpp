// Polling: a signal that arrives just before a blocking read would not end it.
#include "cli/line_reader.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "base/progress.h"

namespace carat::cli {

std::optional<std::string> LineReader::next() {
  size_t end;
  while ((end = waiting_.find('\n')) == std::string::npos)
    if (!fill()) {
      if (interrupted() || waiting_.empty()) return std::nullopt;
      end = waiting_.size();  // a last line without a line feed
      break;
    }
  std::string line = waiting_.substr(0, end);
  waiting_.erase(0, end + 1);
  return line;
}

bool LineReader::fill() {
  constexpr int kTimeoutMs = 200;
  while (!interrupted()) {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    const int n_ready = ::poll(&input, 1, kTimeoutMs);
    if (n_ready < 0 && errno != EINTR) return false;
    if (n_ready <= 0) continue;
    char piece[4096];
    const ssize_t n = ::read(STDIN_FILENO, piece, sizeof piece);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) return false;
    waiting_.append(piece, static_cast<size_t>(n));
    return true;
  }
  return false;
}

}  // namespace carat::cli
