// The probes. A pass is short and the best one counts: others of the machine's programs only ever make it
// slower.
#include "engine/roof.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <numeric>
#include <string>
#include <vector>

#include "base/memory.h"
#include "kernels/cpu/dispatch.h"
#include "model/memory_budget.h"

namespace carat {
namespace {

constexpr int kPasses = 40;

std::atomic<double> used_result{0};  // what was computed has to be computed

template <class Body>
double seconds_of(const Body& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

using Peak = void (*)(int64_t n_rounds, int64_t* n_multiply_adds, float* out);

// Multiply-adds per second of all threads, which run the same loop at the same time.
double measure_peak(Peak peak, ThreadPool& pool) {
  constexpr double kPassSeconds = 0.002;
  constexpr int64_t kTrial = 2000, kMostRounds = int64_t{1} << 22;
  int64_t n_trial = 0;
  float value = 0;
  peak(kTrial, &n_trial, &value);  // wakes the wide units
  const double trial_seconds = seconds_of([&] { peak(kTrial, &n_trial, &value); });
  const double wanted = kPassSeconds / std::max(trial_seconds, 1e-9) * static_cast<double>(kTrial);
  const int64_t n_rounds = static_cast<int64_t>(std::clamp(wanted, 1.0, static_cast<double>(kMostRounds)));

  struct alignas(kCacheLine) Share {
    int64_t n = 0;
    float value = 0;
  };
  std::vector<Share> shares(static_cast<size_t>(pool.size()));
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const double seconds = seconds_of([&] {
      pool.parallel_for(pool.size(), 1, [&](int64_t, int64_t, int thread) {
        Share& share = shares[static_cast<size_t>(thread)];
        peak(n_rounds, &share.n, &share.value);
      });
    });
    double n = 0;
    for (const Share& share : shares) {
      n += static_cast<double>(share.n);
      used_result = used_result + share.value;
    }
    best = std::max(best, n / seconds);
  }
  return best;
}

using ReadStreams = uint64_t (*)(const uint64_t* words, int64_t n);

// The sum of n words (a multiple of 32 kStreams), read in kStreams places in turn, each of them in order:
// what bounds one core is how many misses it has under way, and the prefetchers of several pages have more of
// them.
template <int kStreams>
uint64_t read_streams(const uint64_t* words, int64_t n) {
  const int64_t n_each = n / kStreams;
  uint64_t lanes[32] = {};  // independent sums: wide loads, no dependency between them
  for (int64_t i = 0; i < n_each; i += 32)
    for (int stream = 0; stream < kStreams; ++stream)
      for (int lane = 0; lane < 32; ++lane) lanes[lane] += words[stream * n_each + i + lane];
  return std::accumulate(std::begin(lanes), std::end(lanes), uint64_t{0});
}

// A number like "32768K" or "4" in one of the system's files about a CPU's cache; 0: there is none.
uint64_t number_in(const std::string& path) {
  std::ifstream file(path);
  uint64_t number = 0;
  return file >> number ? number : 0;
}

// The n-th cache of a CPU in KiB; 0: none.
uint64_t cache_kib(int cpu, int index) {
  return number_in(fmt::format("/sys/devices/system/cpu/cpu{}/cache/index{}/size", cpu, index));
}

// Of all the machine's largest caches together: each is counted at the first CPU that shares it.
uint64_t all_cache_bytes() {
  uint64_t total = 0;
  for (int cpu = 0; cache_kib(cpu, 0) > 0; ++cpu) {
    int last = 0;
    for (int index = 1; cache_kib(cpu, index) > 0; ++index)
      if (cache_kib(cpu, index) >= cache_kib(cpu, last)) last = index;
    const auto first_of = number_in(fmt::format("/sys/devices/system/cpu/cpu{}/cache/index{}/shared_cpu_list",
                                                cpu, last));  // "0-7,64-71"
    if (first_of == static_cast<uint64_t>(cpu)) total += cache_kib(cpu, last) << 10;
  }
  return total;
}

}  // namespace

Result<Roof> measure_roof(ThreadPool& pool) {
  const char* forced = std::getenv("CARAT_ISA");
  const Isa* isa = TRY(choose_isa(forced == nullptr ? "" : forced));
  const KernelTable kernels = resolve_kernels(isas(), static_cast<size_t>(isa - isas().data()));
  Roof roof;
  roof.n_threads = pool.size();
  roof.read_bytes = measure_read_bandwidth(pool);
  const double f32 = measure_peak(kernels.peak_f32, pool);
  roof.multiply_adds = {measure_peak(kernels.peak_int8, pool),
                        kernels.peak_bf16 == kernels.peak_f32 ? f32 : measure_peak(kernels.peak_bf16, pool),
                        f32};
  return roof;
}

double measure_read_bandwidth(ThreadPool& pool) {
  constexpr uint64_t kLeast = uint64_t{256} << 20, kMost = uint64_t{1} << 30;
  constexpr size_t kPieces =
      4;  // a pass reads one; when its turn comes again, the others have taken its place in caches
  constexpr int kReadPasses = 60, kGrain = 4096;  // words; every stream's part is a multiple of 32 of them
  constexpr ReadStreams kReads[] = {read_streams<1>, read_streams<4>, read_streams<8>};
  const uint64_t n_wanted = std::clamp(3 * all_cache_bytes(), kLeast, kMost);
  const uint64_t n_bytes = std::min(n_wanted, static_cast<uint64_t>(usable_memory_bytes()) / 4);
  const size_t n_words = n_bytes / sizeof(uint64_t), n_piece = n_words / kPieces / kGrain * kGrain;
  AlignedArray<uint64_t> buffer(n_words);
  // Untouched memory is one page of zeros, read from cache. Each thread fills what it will read: pages lie near to it.
  for (size_t i = 0; i < kPieces; ++i)
    pool.parallel_for(static_cast<int64_t>(n_piece), kGrain, [&](int64_t begin, int64_t end, int) {
      std::fill(buffer.data() + i * n_piece + begin, buffer.data() + i * n_piece + end, uint64_t{1});
    });
  std::vector<uint64_t> sums(static_cast<size_t>(pool.size()) * 8);  // a cache line per thread
  double best = 0;
  for (size_t pass = 0; pass < kReadPasses; ++pass) {
    const uint64_t* piece = buffer.data() + pass % kPieces * n_piece;
    const ReadStreams read = kReads[pass % std::size(kReads)];
    const double seconds = seconds_of([&] {
      pool.parallel_for(static_cast<int64_t>(n_piece), kGrain, [&](int64_t begin, int64_t end, int thread) {
        sums[static_cast<size_t>(thread) * 8] += read(piece + begin, end - begin);
      });
    });
    best = std::max(best, static_cast<double>(n_piece * sizeof(uint64_t)) / seconds);
  }
  for (const uint64_t sum : sums) used_result = used_result + static_cast<double>(sum);
  return best;
}

uint64_t largest_cache_bytes() {
  uint64_t largest = 0;
  for (int index = 0; cache_kib(0, index) > 0; ++index)
    largest = std::max(largest, cache_kib(0, index) << 10);
  return largest;
}

}  // namespace carat
