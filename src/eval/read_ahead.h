// ReadAhead: a thread that reads the weights of the next step of a pass while the present one computes, and lets go
// of those of the last one.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "eval/model_pages.h"

namespace carat {

class ReadAhead {
 public:
  struct Step {
    const PageGroup* pages;  // nullptr: none; outlives the ReadAhead
    bool kept;               // read in the first round only, and never let go
  };

  // The steps come n_rounds times, in this order. Reading begins at once.
  ReadAhead(std::vector<Step> steps, size_t n_rounds);
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // Ends the present step, if any, and waits for the pages of the next one. At most two steps' pages that are not kept
  // are in memory at any time.
  void advance();

 private:
  void work();
  bool read(const PageGroup& pages);
  bool stopping();

  std::vector<Step> steps_;
  size_t n_total_;

  std::mutex mutex_;
  std::condition_variable changed_;
  size_t n_begun_ = 0;  // steps, over all rounds: the last of them is the present one
  size_t n_read_ = 0;
  bool stop_ = false;
  std::jthread thread_;
};

}  // namespace carat
