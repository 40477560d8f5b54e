// The roofs of this machine: how fast it reads memory and how fast it multiplies and adds, whatever the
// program. Speeds are printed as shares of them, so they are measured with the instructions that the kernels
// have: a share says how much a better kernel could still win.
#pragma once

#include <array>
#include <cstdint>

#include "base/thread_pool.h"
#include "kernels/arithmetic.h"

namespace carat {

struct Roof {
  int n_threads = 0;
  double read_bytes = 0;  // per second
  // Per second, of all threads together, by Arithmetic. int8: products of 4-bit codes with activations, from
  // registers: one vpdpbusd per register with VNNI, vpmaddubsw and vpaddw (and an eighth of vpmaddwd and
  // vpaddd) with AVX2 alone. Codes of 8 bits need more instructions there and stay below it by nature. bf16: no ISA here has products of bf16, so it is the rate of f32, whose fma the widened values
  // take. f32: one fma per register; without FMA a multiplication and an addition.
  std::array<double, kArithmetics.size()> multiply_adds{};

  double rate(Arithmetic arithmetic) const { return multiply_adds[static_cast<size_t>(arithmetic)]; }
};

// For the pool's threads and the ISA that CARAT_ISA names or the machine's best; each figure the best of many
// short passes, about a second in all. Error: that ISA is unknown or missing.
Result<Roof> measure_roof(ThreadPool& pool);

// Bytes per second that all of the pool's threads together read from memory: the best of many passes over
// parts of a buffer three times as large as all the machine's last caches, so that none is read from them
// (but at most 1 GiB and a quarter of the memory that this process may use). Passes take turns at reading in
// one, four and eight places a thread: kernels read in several, and come above what one stream gets.
double measure_read_bandwidth(ThreadPool& pool);

// Of the CPU's largest cache; 0: the system does not say. Weights that fit are not read from memory.
uint64_t largest_cache_bytes();

}  // namespace carat
