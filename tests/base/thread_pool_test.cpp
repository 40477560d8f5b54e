// Every index is visited once, whatever the number of threads and the grain.
#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <vector>

namespace carat {
namespace {

TEST(ThreadPool, CoversEveryIndexOnce) {
  for (const int n_threads : {1, 2, 3, 5}) {
    ThreadPool pool(n_threads);
    for (const int64_t n : {0, 1, 2, 7, 64, 1001})
      for (const int64_t grain : {1, 4, 16, 2000}) {
        std::vector<int> visits(static_cast<size_t>(n));
        pool.parallel_for(n, grain, [&](int64_t begin, int64_t end, int thread) {
          EXPECT_GE(thread, 0);
          EXPECT_LT(thread, n_threads);
          EXPECT_EQ(begin % grain, 0);
          for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
        });
        for (const int count : visits) EXPECT_EQ(count, 1);
      }
  }
}

TEST(ThreadPool, SurvivesManySmallJobs) {
  ThreadPool pool(3);
  std::vector<int64_t> sums(3);
  for (int job = 0; job < 20000; ++job)
    pool.parallel_for(3, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) sums[static_cast<size_t>(i)] += i;
    });
  EXPECT_EQ(sums[2], 40000);
}

}  // namespace
}  // namespace carat
