// The thread behind read_ahead.h.
#include "eval/read_ahead.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace carat {

ReadAhead::ReadAhead(std::vector<Step> steps, size_t n_rounds)
    : steps_(std::move(steps)), n_total_(steps_.size() * n_rounds), thread_([this] { work(); }) {}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
}

void ReadAhead::advance() {
  std::unique_lock lock(mutex_);
  CHECK(n_begun_ < n_total_);
  if (n_begun_ > 0) {
    const Step& past = steps_[(n_begun_ - 1) % steps_.size()];
    if (past.pages != nullptr && !past.kept) past.pages->drop();
  }
  ++n_begun_;
  changed_.notify_all();
  changed_.wait(lock, [&] { return n_read_ >= n_begun_; });
}

void ReadAhead::work() {
  for (size_t next = 0; next < n_total_; ++next) {
    {
      // The first step is read before anybody asks, later ones while the step before them is under way.
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stop_ || next <= n_begun_; });
      if (stop_) return;
    }
    const Step& step = steps_[next % steps_.size()];
    const bool is_there = step.pages == nullptr || (step.kept && next >= steps_.size());
    if (!is_there && !read(*step.pages)) return;
    {
      const std::lock_guard lock(mutex_);
      n_read_ = next + 1;
    }
    changed_.notify_all();
  }
}

// In slices, so that it can be stopped. False: it was.
bool ReadAhead::read(const PageGroup& pages) {
  constexpr size_t kSlice = size_t{64} << 20;
  for (const PageGroup::Piece& piece : pages.pieces)
    for (size_t at = 0; at < piece.bytes.size(); at += kSlice) {
      if (stopping()) return false;
      piece.file->read_in(piece.bytes.subspan(at, std::min(kSlice, piece.bytes.size() - at)));
    }
  return true;
}

bool ReadAhead::stopping() {
  const std::lock_guard lock(mutex_);
  return stop_;
}

}  // namespace carat
