// Every index is visited once, whatever the number of threads and the grain.
#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <vector>

#include "base/memory.h"

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
  for (int job = 0; job < 4000; ++job)
    pool.parallel_for(3, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) sums[static_cast<size_t>(i)] += i;
    });
  EXPECT_EQ(sums, (std::vector<int64_t>{0, 4000, 8000}));
}

TEST(ThreadPool, MisuseIsOurFault) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const int n_threads : {1, 2}) {
    const auto nest = [&] {
      ThreadPool pool(n_threads);
      pool.parallel_for(2, 1, [&](int64_t, int64_t, int) { pool.parallel_for(2, 1, [](int64_t, int64_t, int) {}); });
    };
    EXPECT_DEATH(nest(), "busy_");
  }
  EXPECT_DEATH(ThreadPool(1).parallel_for(2, 0, [](int64_t, int64_t, int) {}), "grain >= 1");
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // their shadow memory does not bear a limit
#else
constexpr bool kSanitized = false;
#endif

TEST(ThreadPool, CarriesOnWithTheThreadsItGets) {
  if (kSanitized) GTEST_SKIP() << "sanitizers need all the address space";
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto starve = [] {
    ::alarm(60);  // it used to wait forever
    const rlim_t limit = peak_resident_bytes() + (rlim_t{256} << 20);
    const struct rlimit address_space {limit, limit};
    if (::setrlimit(RLIMIT_AS, &address_space) != 0) ::_exit(3);
    int size = 0;
    std::vector<int> visits(1000);
    {
      ThreadPool pool(500);
      size = pool.size();
      pool.parallel_for(1000, 1, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
      });
    }
    ::_exit(size >= 1 && size < 500 && visits == std::vector<int>(1000, 1) ? 0 : 1);
  };
  EXPECT_EXIT(starve(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace carat
