// Workers spin briefly between jobs (a decode step issues hundreds of them, microseconds apart), then sleep.
#include "base/thread_pool.h"

#include <exception>

#include "base/machine.h"

namespace carat {
namespace {

constexpr int kSpins = 4000;  // about 20-60 microseconds

inline void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits until `value` differs from `old`: first spinning, then asleep in the kernel.
template <class T>
void wait_while_equal(std::atomic<T>& value, T old) {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause_cpu();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(int n_threads) : n_threads_(n_threads) {
  CHECK(n_threads >= 1);
  workers_.reserve(static_cast<size_t>(n_threads) - 1);
  try {
    for (int thread = 1; thread < n_threads; ++thread) workers_.emplace_back([this, thread] { work(thread); });
  } catch (const std::exception&) {  // a limit on threads or on memory
    n_threads_ = 1 + static_cast<int>(workers_.size());
  }
}

ThreadPool::~ThreadPool() {
  stopping_.store(true, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
}

void ThreadPool::run(Task task, void* context) {
  task_ = task;
  context_ = context;
  n_running_.store(n_threads_ - 1, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  task(context, 0);
  for (int left = n_running_.load(std::memory_order_acquire); left != 0;
       left = n_running_.load(std::memory_order_acquire))
    wait_while_equal(n_running_, left);
}

void ThreadPool::work(int thread) {
  for (uint32_t seen = 0;;) {
    wait_while_equal(generation_, seen);
    ++seen;
    if (stopping_.load(std::memory_order_relaxed)) return;
    task_(context_, thread);
    if (n_running_.fetch_sub(1, std::memory_order_acq_rel) == 1) n_running_.notify_one();
  }
}

int default_thread_count() {
  const std::vector<int> allowed = allowed_cpus();
  if (!allowed.empty()) return useful_threads(allowed);
  const unsigned n = std::thread::hardware_concurrency();
  return n == 0 ? 1 : static_cast<int>(n);
}

}  // namespace carat
