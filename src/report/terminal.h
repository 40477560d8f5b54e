// Terminal: what is on the other end of standard output and error, and a progress bar for it.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/progress.h"
#include "report/text_table.h"

namespace carat {

bool stdout_is_terminal();
bool stderr_is_terminal();
int terminal_width();  // of standard output; 100 where it is none or does not say

// Colours if standard output is a terminal and NO_COLOR is not set.
Style stdout_style();

// One line on standard error that is rewritten a few times per second and removed at the end. Says nothing
// where standard error is not a terminal.
class ProgressBar {
 public:
  ProgressBar();
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void update(uint64_t done, uint64_t total, std::string_view what);
  Progress callback() {
    return [this](uint64_t done, uint64_t total, std::string_view what) { update(done, total, what); };
  }

  // "judging        [##########..........]  50 %  0:12 left" in at most `width` columns.
  static std::string line(uint64_t done, uint64_t total, std::string_view what, double seconds, int width);

 private:
  using Clock = std::chrono::steady_clock;
  bool visible_;
  bool drawn_ = false;
  std::string what_;
  Clock::time_point start_, last_;
};

}  // namespace carat
