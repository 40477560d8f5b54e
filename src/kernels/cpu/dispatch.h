// Which instruction set the kernels use: the list of those that this program was built with, what each
// requires of the machine, and the choice.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "kernels/cpu/kernel_table.h"

namespace carat {

struct Isa {
  std::string_view name;
  bool (*supported)();         // asks the CPU and the operating system
  const KernelTable* kernels;  // null entries inherit from the line above
};

std::span<const Isa> isas();  // plainest first; the last supported one is the default

// The complete table of an ISA: null entries filled from those before it.
KernelTable resolve_kernels(std::span<const Isa> list, size_t index);

// The best supported ISA, or the one that is named. Unknown or unsupported names are errors.
Result<const Isa*> choose_isa(std::string_view forced);

}  // namespace carat
