// Which instruction set the kernels use: the list of those that this program was built with, what each
// requires of the machine, and the choice.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "kernels/cpu/kernel_table.h"

namespace carat {

// What an ISA needs of the machine: instructions of the CPU and registers that the operating system saves.
enum CpuFeature : uint32_t {
  kHasAvx2 = 1,       // with FMA and F16C
  kHasAvxVnni = 2,    // absent from the first server processors with AVX-512 VNNI
  kHasAvx512Vnni = 4,  // with AVX-512 F, BW, DQ and VL
  kHasAvx512Bf16 = 8
};

struct Isa {
  std::string_view name;
  uint32_t needs;              // CpuFeatures
  int parent;                  // index of the ISA from which null entries inherit, before this one; -1: none
  const KernelTable* kernels;

  bool supported() const;  // asks the CPU and the operating system
};

std::span<const Isa> isas();  // plainest first; the last supported one is the default

// The complete table of an ISA: null entries filled from its parent, that one's parent and so on.
KernelTable resolve_kernels(std::span<const Isa> list, size_t index);

// The best supported ISA, or the one that is named. Unknown or unsupported names are errors.
Result<const Isa*> choose_isa(std::string_view forced);

}  // namespace carat
