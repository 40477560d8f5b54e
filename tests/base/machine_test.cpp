// Thread counts and memory limits on machines that stand in folders: SMT, hybrid, quotas of both versions.
#include "base/machine.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/thread_pool.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

class Machine : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("carat-machine-" + std::to_string(::getpid()) + "-" +
                                         testing::UnitTest::GetInstance()->current_test_info()->name());
    folders_ = {(root_ / "proc").string(), (root_ / "sys").string()};
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    const fs::path whole = root_ / path;
    fs::create_directories(whole.parent_path());
    std::ofstream(whole) << text << '\n';
  }
  void siblings(int cpu, const std::string& list) {
    write("sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list", list);
  }
  int threads(int n_cpus) {
    std::vector<int> cpus;
    for (int i = 0; i < n_cpus; ++i) cpus.push_back(i);
    return useful_threads(cpus, folders_);
  }

  fs::path root_;
  SystemFolders folders_;
};

TEST(CpuList, RangesAndSingleNumbers) {
  EXPECT_EQ(parse_cpu_list("0-3,8,10-11"), (std::vector<int>{0, 1, 2, 3, 8, 10, 11}));
  EXPECT_EQ(parse_cpu_list("7"), std::vector<int>{7});
  for (const char* bad : {"", "a", "1-", "-1", "3-1", "1,,2", "0-99999999999", "0-65536", "1 2"})
    EXPECT_TRUE(parse_cpu_list(bad).empty()) << bad;
}

TEST_F(Machine, OneThreadForEachCpuWhereNothingIsTold) {
  EXPECT_EQ(threads(6), 6);
  EXPECT_EQ(threads(0), 1);
}

TEST_F(Machine, SiblingsOfACoreCountOnce) {
  for (int cpu = 0; cpu < 8; ++cpu) siblings(cpu, std::to_string(cpu % 4) + "," + std::to_string(cpu % 4 + 4));
  EXPECT_EQ(threads(8), 4);
  EXPECT_EQ(threads(5), 4);  // 0 and 4 share a core
  EXPECT_EQ(useful_threads(std::vector<int>{6, 7}, folders_), 2);
}

TEST_F(Machine, OnlyFastCoresOfAHybridProcessor) {
  for (int cpu = 0; cpu < 4; ++cpu) siblings(cpu, cpu < 2 ? "0-1" : "2-3");
  for (int cpu = 4; cpu < 12; ++cpu) siblings(cpu, std::to_string(cpu));
  write("sys/devices/cpu_core/cpus", "0-3");
  write("sys/devices/cpu_atom/cpus", "4-11");
  EXPECT_EQ(threads(12), 10);  // eight slow ones do more than two fast ones
  EXPECT_EQ(threads(8), 2);
  EXPECT_EQ(useful_threads(std::vector<int>{4, 5, 6}, folders_), 3);     // bound to the slow ones: those
  EXPECT_EQ(useful_threads(std::vector<int>{0, 4, 5, 6}, folders_), 1);  // three slow ones are not worth two fast ones
}

TEST_F(Machine, CapacitiesTellFastCoresApart) {
  const int capacity[] = {1024, 1010, 446, 446, 250};
  for (int cpu = 0; cpu < 5; ++cpu)
    write("sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/cpu_capacity", std::to_string(capacity[cpu]));
  EXPECT_EQ(threads(5), 2);
}

TEST_F(Machine, QuotaOfTheUnifiedHierarchyAndOfItsParents) {
  write("proc/self/cgroup", "0::/user/job");
  write("sys/fs/cgroup/user/job/cpu.max", "max 100000");
  EXPECT_EQ(threads(8), 8);
  write("sys/fs/cgroup/user/cpu.max", "350000 100000");
  EXPECT_EQ(threads(8), 3);
  EXPECT_EQ(threads(2), 2);
  write("sys/fs/cgroup/user/job/cpu.max", "50000 100000");
  EXPECT_EQ(threads(8), 1);
  write("sys/fs/cgroup/user/job/cpu.max", "50000 0");  // nonsense limits nothing
  EXPECT_EQ(threads(8), 3);
}

TEST_F(Machine, QuotaOfTheFirstVersion) {
  write("proc/self/cgroup", "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc");
  write("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "200000");
  write("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000");
  EXPECT_EQ(threads(8), 2);
  write("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "-1");
  EXPECT_EQ(threads(8), 8);
  write("sys/fs/cgroup/memory/docker/memory.limit_in_bytes", "1073741824");
  EXPECT_EQ(memory_limit_bytes(folders_), 1 << 30);
}

TEST_F(Machine, LeastMemoryLimit) {
  EXPECT_EQ(memory_limit_bytes(folders_), INT64_MAX);
  write("proc/self/cgroup", "0::/a/b");
  write("sys/fs/cgroup/a/b/memory.max", "max");
  EXPECT_EQ(memory_limit_bytes(folders_), INT64_MAX);
  write("sys/fs/cgroup/a/memory.max", "4000000000");
  EXPECT_EQ(memory_limit_bytes(folders_), 4000000000);
  write("proc/self/cgroup", "0::/a..b");
  write("sys/fs/cgroup/a..b/memory.max", "5000");
  EXPECT_EQ(memory_limit_bytes(folders_), 5000);
  write("proc/self/cgroup", "0::/../a");
  EXPECT_EQ(memory_limit_bytes(folders_), INT64_MAX);
}

TEST_F(Machine, ThisOne) {
  EXPECT_GE(default_thread_count(), 1);
  EXPECT_LE(default_thread_count(), static_cast<int>(allowed_cpus().size()));
  EXPECT_GT(memory_limit_bytes(), 0);
}

TEST_F(Machine, AvailableMemoryIsTheLeastThatIsTold) {
  EXPECT_EQ(available_memory_bytes(folders_), memory_limit_bytes(folders_));
  write("proc/meminfo", "MemTotal:       24659968 kB\nMemAvailable:   21853788 kB");
  const int64_t available = available_memory_bytes(folders_);
  EXPECT_EQ(available, int64_t{21853788} * 1024);
  write("proc/self/cgroup", "0::/box");
  write("sys/fs/cgroup/box/memory.max", "700000000");
  EXPECT_EQ(available_memory_bytes(folders_), 700000000);
  write("proc/meminfo", "MemAvailable:   many kB");
  EXPECT_EQ(available_memory_bytes(folders_), 700000000);
  EXPECT_GT(available_memory_bytes(), 0);
}

}  // namespace
}  // namespace carat
