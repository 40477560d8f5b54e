// Reading sysfs and control groups (both versions). Whatever is missing or unreadable limits nothing.
#include "base/machine.h"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <optional>
#include <set>
#include <string_view>

namespace carat {
namespace {

constexpr int kMaxCpu = 65535;

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::optional<int64_t> parse_number(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Calls visit(text) for each piece of `text` between separators.
template <class Visit>
void each_piece(std::string_view text, char separator, Visit visit) {
  for (;;) {
    const size_t at = text.find(separator);
    visit(text.substr(0, at));
    if (at == std::string_view::npos) return;
    text.remove_prefix(at + 1);
  }
}

std::string cpu_folder(const SystemFolders& folders, int cpu) {
  return folders.sys + "/devices/system/cpu/cpu" + std::to_string(cpu);
}

// The CPUs of the fast kind. Intel's hybrid processors list them; Arm's tell each CPU's capacity.
std::vector<int> fast_cpus(std::span<const int> allowed, const SystemFolders& folders) {
  std::vector<int> fast;
  const std::vector<int> listed = parse_cpu_list(first_line(folders.sys + "/devices/cpu_core/cpus"));
  for (const int cpu : allowed)
    if (std::ranges::find(listed, cpu) != listed.end()) fast.push_back(cpu);
  if (!listed.empty()) return fast;
  int64_t largest = 0;
  std::vector<int64_t> capacities;
  for (const int cpu : allowed) {
    capacities.push_back(parse_number(first_line(cpu_folder(folders, cpu) + "/cpu_capacity")).value_or(0));
    largest = std::max(largest, capacities.back());
  }
  // Cores of one kind differ by a few percent in their best clock, those of another kind by far more.
  for (size_t i = 0; i < allowed.size(); ++i)
    if (capacities[i] >= largest / 4 * 3) fast.push_back(allowed[i]);
  return fast;
}

// Siblings of a core count once: by the first of them.
size_t count_cores(std::span<const int> cpus, const SystemFolders& folders) {
  std::set<int> cores;
  for (const int cpu : cpus) {
    const auto siblings = parse_cpu_list(first_line(cpu_folder(folders, cpu) + "/topology/thread_siblings_list"));
    cores.insert(siblings.empty() ? cpu : siblings.front());
  }
  return cores.size();
}

// A folder of control groups and all above it, up to the root of their tree.
std::vector<std::string> group_folders(const std::string& root, std::string path) {
  std::vector<std::string> folders;
  while (!path.empty() && path != "/") {
    folders.push_back(root + path);
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
  folders.push_back(root);
  return folders;
}

// Calls visit(folder, is_v2) for the groups of this process that `controller` rules.
template <class Visit>
void each_group(const SystemFolders& folders, std::string_view controller, Visit visit) {
  std::ifstream file(folders.proc + "/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // "hierarchy:controllers:path"
    const size_t first = line.find(':'), second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string names = line.substr(first + 1, second - first - 1), path = line.substr(second + 1);
    if (path.starts_with("/..")) continue;  // of a group outside this name space
    const std::string base = folders.sys + "/fs/cgroup";
    if (names.empty()) {
      for (const std::string& folder : group_folders(base, path)) visit(folder, true);
      for (const std::string& folder : group_folders(base + "/unified", path)) visit(folder, true);
      continue;
    }
    bool rules = false;
    each_piece(names, ',', [&](std::string_view name) { rules = rules || name == controller; });
    if (!rules) continue;
    for (const std::string& folder : group_folders(base + "/" + names, path)) visit(folder, false);
    if (names != controller)  // mounted under each name, too
      for (const std::string& folder : group_folders(base + "/" + std::string(controller), path)) visit(folder, false);
  }
}

// CPUs' worth of time that the groups grant; infinite where none limits it.
double granted_cpus(const SystemFolders& folders) {
  double least = std::numeric_limits<double>::infinity();
  each_group(folders, "cpu", [&](const std::string& folder, bool is_v2) {
    std::optional<int64_t> quota, period;
    if (is_v2) {  // "max 100000" or "150000 100000"
      const std::string line = first_line(folder + "/cpu.max");
      const size_t space = line.find(' ');
      if (space == std::string::npos) return;
      quota = parse_number(std::string_view(line).substr(0, space));
      period = parse_number(std::string_view(line).substr(space + 1));
    } else {
      quota = parse_number(first_line(folder + "/cpu.cfs_quota_us"));
      period = parse_number(first_line(folder + "/cpu.cfs_period_us"));
    }
    if (quota && period && *quota > 0 && *period > 0)
      least = std::min(least, static_cast<double>(*quota) / static_cast<double>(*period));
  });
  return least;
}

}  // namespace

std::vector<int> parse_cpu_list(std::string_view text) {
  std::vector<int> cpus;
  bool good = !text.empty();
  each_piece(text, ',', [&](std::string_view piece) {
    const size_t dash = piece.find('-');
    const auto first = parse_number(piece.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_number(piece.substr(dash + 1));
    if (!first || !last || *first < 0 || *last < *first || *last > kMaxCpu) {
      good = false;
      return;
    }
    for (int64_t cpu = *first; cpu <= *last && cpus.size() <= kMaxCpu; ++cpu) cpus.push_back(static_cast<int>(cpu));
  });
  if (!good) cpus.clear();
  return cpus;
}

std::vector<int> allowed_cpus() {
  std::vector<int> cpus;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return cpus;  // more CPUs than a set holds
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  return cpus;
}

int useful_threads(std::span<const int> allowed, const SystemFolders& folders) {
  const size_t n_all = count_cores(allowed, folders), n_fast = count_cores(fast_cpus(allowed, folders), folders);
  // Two slow cores do about the work of a fast one.
  const size_t n_cores = n_fast >= (n_all - n_fast) / 2 ? n_fast : n_all;
  // Part of a CPU beyond a whole one would slow all threads down at each barrier.
  const double granted = std::max(1.0, granted_cpus(folders));
  const auto n = static_cast<double>(std::max<size_t>(n_cores, 1));
  return static_cast<int>(std::min(n, granted));
}

int64_t available_memory_bytes(const SystemFolders& folders) {
  int64_t least = memory_limit_bytes(folders);
  struct rlimit resident {};
  if (::getrlimit(RLIMIT_RSS, &resident) == 0 && resident.rlim_cur != RLIM_INFINITY && resident.rlim_cur <= INT64_MAX)
    least = std::min(least, static_cast<int64_t>(resident.rlim_cur));
  std::ifstream info(folders.proc + "/meminfo");
  for (std::string line; std::getline(info, line);) {  // "MemAvailable:   21853788 kB"
    constexpr std::string_view key = "MemAvailable:";
    if (!line.starts_with(key) || !line.ends_with(" kB")) continue;
    std::string_view number = std::string_view(line).substr(key.size(), line.size() - key.size() - 3);
    number.remove_prefix(std::min(number.find_first_not_of(' '), number.size()));
    const auto kilobytes = parse_number(number);
    if (kilobytes && *kilobytes >= 0 && *kilobytes <= INT64_MAX / 1024) least = std::min(least, *kilobytes * 1024);
  }
  return least;
}

int64_t memory_limit_bytes(const SystemFolders& folders) {
  int64_t least = INT64_MAX;
  each_group(folders, "memory", [&](const std::string& folder, bool is_v2) {
    const auto limit = parse_number(first_line(folder + (is_v2 ? "/memory.max" : "/memory.limit_in_bytes")));
    if (limit && *limit > 0) least = std::min(least, *limit);
  });
  return least;
}

}  // namespace carat
