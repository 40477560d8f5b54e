// isatty, window sizes, and the one line of progress.
#include "report/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

namespace carat {

bool stdout_is_terminal() { return isatty(STDOUT_FILENO) == 1; }
bool stderr_is_terminal() { return isatty(STDERR_FILENO) == 1; }

int terminal_width() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 100;
}

Style stdout_style() {
  const char* no_colour = std::getenv("NO_COLOR");
  return {stdout_is_terminal() && (no_colour == nullptr || *no_colour == '\0')};
}

ProgressBar::ProgressBar() : visible_(stderr_is_terminal()), start_(Clock::now()) {}

ProgressBar::~ProgressBar() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
}

void ProgressBar::update(uint64_t done, uint64_t total, std::string_view what) {
  if (!visible_) return;
  const auto now = Clock::now();
  if (what != what_) {
    what_ = what;
    start_ = now;
  } else if (done < total && now - last_ < std::chrono::milliseconds(100)) {
    return;
  }
  last_ = now;
  drawn_ = true;
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  std::fprintf(stderr, "\r%s\x1b[K",
               line(done, total, what, seconds, (known ? size.ws_col : 80) - 1).c_str());
  std::fflush(stderr);
}

std::string ProgressBar::line(uint64_t done, uint64_t total, std::string_view what, double seconds,
                              int width) {
  const double share = total == 0 ? 0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  std::string tail = fmt::format("{:3.0f} %", 100 * share);
  if (share > 0 && share < 1 && seconds > 1) {
    const auto left = static_cast<int64_t>(seconds * (1 - share) / share + 0.5);
    if (left < 3600)
      tail += fmt::format("  {}:{:02} left", left / 60, left % 60);
    else
      tail += fmt::format("  {}:{:02}:{:02} left", left / 3600, left / 60 % 60, left % 60);
  }
  const int n_cells = std::clamp(width - display_width(what) - static_cast<int>(tail.size()) - 6, 0, 40);
  std::string bar;
  if (n_cells >= 5) {
    const int filled = static_cast<int>(share * n_cells);
    bar = fmt::format("[{:#<{}}{:.<{}}]  ", "", filled, "", n_cells - filled);
  }
  return fmt::format("{}  {}{}", what, bar, tail);
}

}  // namespace carat
