// What the backend promises its callers beyond numbers: one of them at a time, and no heap in steady work.
#include <atomic>
#include <cstdlib>
#include <new>
#include <numeric>
#include <thread>

#include "support.h"

namespace {
std::atomic<int64_t> n_allocations{0};
}

// Counted for the whole test program.
void* operator new(size_t n) {
  n_allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(n == 0 ? 1 : n)) return memory;
  throw std::bad_alloc();
}
void* operator new(size_t n, const std::nothrow_t&) noexcept {  // what sorts take their buffers from
  n_allocations.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(n == 0 ? 1 : n);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace carat::kernels_test {
namespace {

// Allocations of the third of three equal calls.
template <class Call>
int64_t steady_allocations(const Call& call) {
  for (int i = 0; i < 2; ++i) call();
  const int64_t before = n_allocations.load();
  call();
  return n_allocations.load() - before;
}

TEST(Backend, TheHeapIsCounted) {
  std::vector<int> kept;
  EXPECT_EQ(steady_allocations([&] { kept = std::vector<int>(100); }), 1);
}

TEST(Backend, SteadyWorkAllocatesNothing) {
  CpuBackend cpu(*supported_isas().back(), {.n_threads = 3});
  constexpr int64_t kRows = 40, kDim = 64, kExperts = 9, kUsed = 3;
  const std::vector<float> q = gaussian(kRows * kDim * 4, 1), k = gaussian(kRows * kDim, 2);
  std::vector<float> out(q.size());
  std::vector<std::byte> cells(2 * kRows * kDim * sizeof(uint16_t));
  const KvView kv{cells.data(), cells.data() + cells.size() / 2, TensorType::F16, TensorType::F16, kRows};
  const Segment segment{0, kRows, 0, kv};
  EXPECT_EQ(steady_allocations([&] {
              cpu.store_kv({&segment, 1}, k.data(), k.data(), kDim);
              cpu.attention({&segment, 1}, {4, 1, kDim, 0}, q.data(), out.data());
            }),
            0);

  std::vector<int32_t> chosen(kRows * kUsed);
  std::vector<float> gates(chosen.size());
  const Weight gate_up = make_weight(TensorType::Q4_0, kDim, 64, 4, kExperts);
  const Weight down = make_weight(TensorType::Q4_0, 32, kDim, 5, kExperts);
  const ExpertWeights weights{gate_up.tensor, {}, {}, down.tensor, nullptr, 32};
  EXPECT_EQ(steady_allocations([&] {
              cpu.route(q.data(), kRows, kExperts, kUsed, chosen.data(), gates.data());
              cpu.experts(weights, q.data(), kRows, kUsed, chosen.data(), gates.data(), out.data());
            }),
            0);
}

TEST(BackendDeathTest, TwoCallersAtOnce) {
  const auto two_callers = [] {
    CpuBackend cpu(isas()[0], {});
    const auto call = [&] {
      std::vector<float> x(1 << 16, 1.0f);
      while (true) cpu.add_scale(x.data(), nullptr, static_cast<int64_t>(x.size()), 1.0f);
    };
    std::thread other(call);
    call();
  };
  EXPECT_DEATH(two_callers(), "backend_is_free");
}

}  // namespace
}  // namespace carat::kernels_test
