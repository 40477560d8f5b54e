// Look times: when a judgement that goes on until it is decided looked at what it had, kept in a file. How
// many items come next and how much error a look may use depend on time, so whoever goes on after an
// interruption has to repeat the looks as they were: on another clock's, the promise on false calls would not
// hold.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "eval/sequential.h"

namespace carat {

class LookTimes {
 public:
  using Clock = std::chrono::steady_clock;

  // Takes up the looks of `path`; empty: nothing is kept. `judgement`, one line, names everything else that
  // looks depend on. Safe on untrusted bytes. Errors: a file that is no such file, or one of another
  // judgement.
  static Result<LookTimes> open(std::string path, std::string_view judgement,
                                const SequentialOptions& options, double alpha, Clock::time_point start);

  // What open() does with the file's content.
  static Result<LookTimes> parse(std::string_view content, std::string path, std::string_view judgement,
                                 const SequentialOptions& options, double alpha);

  // Seconds that were spent until the next look, at n items: the file's, as far as it goes, and then the
  // clock's, which are added to it. Errors: a file whose look was at another number of items, or that cannot
  // be written.
  Result<double> next(int64_t n);
  // Work on the next look ends before it is done: what it has taken is kept, as its scores are. (Of a process
  // that is killed it is not.)
  Result<void> leave();

 private:
  struct Time {
    int64_t n_items;
    double seconds;
  };

  LookTimes(std::string path, std::string_view judgement, const SequentialOptions& options, double alpha);
  static std::optional<Time> parse_look(std::string_view line);
  static std::optional<double> parse_left(std::string_view line);
  double since_last() const;
  Result<void> save(double left_seconds) const;

  std::string path_, header_;
  std::vector<Time> times_;
  double left_seconds_ = 0;  // spent on a look that is not in times_ yet, in earlier processes
  size_t n_looks_ = 0;
  double seconds_ = 0;  // at the last look, which ended at last_
  Clock::time_point last_;
};

}  // namespace carat
