// What of this machine a process may use: which CPUs are worth a thread each, and how much memory a control group leaves.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace carat {

// Where the kernel tells; tests bring folders of their own.
struct SystemFolders {
  std::string proc = "/proc", sys = "/sys";
};

// "0-3,8,10-11" -> 0 1 2 3 8 10 11; what cannot be read as such a list, or names CPUs beyond 65535, is empty.
std::vector<int> parse_cpu_list(std::string_view text);

// The CPUs that this process may run on (its affinity); empty where the system does not tell.
std::vector<int> allowed_cpus();

// How many of the CPUs `allowed` are worth a compute thread: one per core, since siblings of a core share its arithmetic
// units and its way to memory; on a processor with slower cores beside fast ones only the fast ones, since all threads
// wait for the last, unless the slow ones do most of the work; and no more than the CPU time that control groups grant, since a thread that spins through its
// quota stops all. At least 1.
int useful_threads(std::span<const int> allowed, const SystemFolders& folders = {});

// The least memory limit of the control groups that this process is in, in bytes; INT64_MAX where there is none.
int64_t memory_limit_bytes(const SystemFolders& folders = {});

// Memory that this process may hope for, in bytes: what the machine could give without swapping (MemAvailable), but no
// more than memory_limit_bytes() and the user's own limit of resident memory (ulimit -m). INT64_MAX where nothing tells.
int64_t available_memory_bytes(const SystemFolders& folders = {});

}  // namespace carat
