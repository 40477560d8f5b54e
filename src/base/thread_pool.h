// ThreadPool: one fork-join pool per process part. The caller is one of the workers, so a pool of 1 runs
// everything inline. Work is cut statically: which thread computes what never changes a result.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "base/check.h"

namespace carat {

class ThreadPool {
 public:
  // n_threads >= 1 counts the caller. Where the system refuses a thread, the pool carries on with those it got:
  // size() says how many.
  explicit ThreadPool(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return n_threads_; }

  // Calls body(begin, end, thread) once for each non-empty share of [0, n); shares are contiguous, in thread
  // order, and their borders multiples of `grain` (>= 1). Returns when all are done. One caller at a time, and a
  // body must not call it in turn (CHECKed). A body must not throw: what needs memory takes it before.
  template <class Body>
  void parallel_for(int64_t n, int64_t grain, Body&& body) {
    CHECK(grain >= 1);
    if (n <= 0) return;
    const Occupied occupied(busy_);
    const int64_t n_grains = n / grain + (n % grain != 0 ? 1 : 0);
    if (n_threads_ == 1 || n_grains == 1) {
      body(int64_t{0}, n, 0);
      return;
    }
    struct Job {
      int64_t n, grain, n_grains;
      int n_threads;
      Body* body;
    } job{n, grain, n_grains, n_threads_, &body};
    run(
        [](void* context, int thread) noexcept {
          const Job& j = *static_cast<Job*>(context);
          const int64_t begin = j.n_grains * thread / j.n_threads * j.grain;
          int64_t end = j.n_grains * (thread + 1) / j.n_threads * j.grain;
          if (end > j.n) end = j.n;
          if (begin < end) (*j.body)(begin, end, thread);
        },
        &job);
  }

 private:
  using Task = void (*)(void* context, int thread) noexcept;

  // A second caller, or a body that calls, would wait for workers that wait for it.
  class Occupied {
   public:
    explicit Occupied(std::atomic<bool>& busy) : busy_(busy) {
      CHECK(!busy_.exchange(true, std::memory_order_acquire));
    }
    ~Occupied() { busy_.store(false, std::memory_order_release); }
    Occupied(const Occupied&) = delete;
    Occupied& operator=(const Occupied&) = delete;

   private:
    std::atomic<bool>& busy_;
  };

  void run(Task task, void* context);
  void work(int thread);

  int n_threads_;
  Task task_ = nullptr;
  void* context_ = nullptr;
  alignas(64) std::atomic<uint32_t> generation_{0};  // bumped to start a job
  alignas(64) std::atomic<int> n_running_{0};        // workers that have not finished it
  std::atomic<bool> stopping_{false};
  std::atomic<bool> busy_{false};
  std::vector<std::jthread> workers_;
};

// The number of threads to use when nobody says: useful_threads() of base/machine.h.
int default_thread_count();

}  // namespace carat
